"""What verbs share that make runs or look for them: options, and how a run is found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.errors import StoreError
from segrank.record import Record
from segrank.store import Store

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The beginning of a run's key.")]
StoreOption = Annotated[
    Path, typer.Option("--store", envvar="SEGRANK_STORE", help="The results folder.", show_default=True)
]
RootOption = Annotated[
    Path | None,
    typer.Option(help="Where named datasets lie, in their archives or unpacked; by default $SEGRANK_DATA."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Any field of the spec; can be repeated.")
]
DevicesOption = Annotated[int, typer.Option(min=1, help="GPUs to train on together (DDP).")]
WorkersOption = Annotated[
    int | None, typer.Option(min=0, max=256, help="Processes that prepare data, for each device.")
]
MicroBatchOption = Annotated[int | None, typer.Option(min=1, help="Images per forward pass on a device.")]
CheckpointOption = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Work that a kill may cost.")]
KeepWeightsOption = Annotated[bool, typer.Option(help="Keep the trained weights, to evaluate and predict with.")]
AddEncoderOption = Annotated[
    list[str],
    typer.Option(
        "--encoder", metavar="REFERENCE", help="One beside the study's; also `{encoder: REFERENCE, weights: FILE}`."
    ),
]


def find_run(store: Store, beginning: str) -> Record:
    """The one run whose key begins so.

    Raises:
        StoreError: there is none, or several, or it has no record yet.
    """
    key = store.find(beginning)
    record = store.record(key)
    if record is None:
        raise StoreError(f"run {key} was begun but has no record yet", fix="wait, or give its command again")
    return record
