"""What verbs share that make runs or look for them: options, and how a run is found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.errors import StoreError
from segrank.record import Record
from segrank.store import Store
from segrank.study.engines import Engine

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

JobsOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=1024, help="Runs at once: by default one for each GPU, one on a CPU, on a cluster as many as fit."
    ),
]
TriesOption = Annotated[
    int, typer.Option(min=1, max=1000, help="Failures without progress after which a run is quarantined.")
]
RetryOption = Annotated[bool, typer.Option("--retry", help="Forget earlier failures, and try again.")]
HangOption = Annotated[
    float, typer.Option(min=30, metavar="SECONDS", help="Kill a run that reports no progress for so long.")
]
EngineOption = Annotated[
    Engine, typer.Option(help="Where the runs go: processes here, SLURM, a Ray cluster. See docs/cluster.md.")
]
SlurmOption = Annotated[
    list[str],
    typer.Option(metavar="NAME=VALUE", help="What each job asks for, as sbatch has it: `partition=gpu`. Repeatable."),
]
RayOption = Annotated[
    list[str],
    typer.Option(metavar="NAME=VALUE", help="`address=HOST:PORT` of Ray; `cpus=N`, `gpus=N` of a run. Repeatable."),
]
ShardOption = Annotated[
    str, typer.Option(metavar="I/N", help="Every N-th run only, from the I-th: for machines without a scheduler.")
]


def parse_shard(text: str) -> tuple[int, int]:
    """`2/3` -> (2, 3)."""
    first, slash, second = text.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise typer.BadParameter(f"{text!r} is not i/n with 1 <= i <= n", param_hint="--shard")
    return int(first), int(second)


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
