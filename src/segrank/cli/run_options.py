"""Options that several verbs share which make runs or look for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
