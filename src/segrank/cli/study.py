"""`segrank study`, `segrank status`, and the hidden `segrank work` that a study starts on each run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from segrank.cli.run_options import (
    AddEncoderOption,
    CheckpointOption,
    DeviceOption,
    DevicesOption,
    EngineOption,
    HangOption,
    JobsOption,
    KeepWeightsOption,
    MicroBatchOption,
    RayOption,
    RetryOption,
    RootOption,
    SetOption,
    ShardOption,
    SlurmOption,
    StoreOption,
    TriesOption,
    WorkersOption,
    parse_shard,
)
from segrank.store import DEFAULT_STORE, Store
from segrank.study.coordinator import HANG_S
from segrank.study.engines import Engine
from segrank.study.state import TRIES

NAME = "STUDY.yaml|NAME"


def study(
    source: Annotated[str, typer.Argument(metavar=NAME, help="A study's file, or one that comes with segrank.")],
    assignments: SetOption = [],  # noqa: B006
    encoders: AddEncoderOption = [],  # noqa: B006
    store: StoreOption = Path(DEFAULT_STORE),
    root: RootOption = None,
    device: DeviceOption = "auto",
    devices: DevicesOption = 1,
    workers: WorkersOption = None,
    micro_batch: MicroBatchOption = None,
    checkpoint_every: CheckpointOption = 300,
    keep_weights: KeepWeightsOption = True,
    jobs: JobsOption = None,
    tries: TriesOption = TRIES,
    retry: RetryOption = False,
    hang_after: HangOption = HANG_S,
    on: EngineOption = Engine.LOCAL,
    slurm: SlurmOption = [],  # noqa: B006
    ray: RayOption = [],  # noqa: B006
    shard: ShardOption = "1/1",
) -> None:
    """Do all runs of a study: encoders x settings x seeds.

    A study may have its encoders pretrained first; `--set pretrain.FIELD=VALUE` is a field of all pretrainings.
    Stop it with Ctrl-C, kill it, lose the machine: the same command goes on. Runs that are done are not done again, in
    whichever study they were. Ctrl-C saves a checkpoint of each run first; a second one does not wait for that.
    Jobs of SLURM's are left to it.

    Examples: `segrank study recommended --root /data`, `segrank study mine.yaml --set steps=2000 --jobs 2`

    Exits with 0 if all runs are done, 1 if some failed or are missing, 130 after a stop. docs/studies.md tells how a
    study is written and what happens to runs that fail.
    """
    from segrank.console.study import StudyBoard, print_result
    from segrank.spec import parse_overrides
    from segrank.study.engines import engine
    from segrank.study.run_study import run_study
    from segrank.study.study import parse_encoders, read_study

    whole = read_study(source, parse_overrides(assignments), parse_encoders(encoders))
    with StudyBoard() as board:
        executor = engine(on, slurm=slurm, ray=ray, store=store, at_once=jobs, say=board.say)
        result = run_study(
            whole,
            store=store,
            root=root,
            device=device,
            devices=devices,
            workers=workers,
            micro_batch=micro_batch,
            checkpoint_every_s=checkpoint_every,
            keep_weights=keep_weights,
            jobs=jobs,
            tries=tries,
            retry=retry,
            hang_after_s=hang_after,
            shard=parse_shard(shard),
            executor=executor,
            board=board,
        )
    print_result(result)
    if result.stopped and not result.ok:
        raise typer.Exit(130)
    if not result.ok:
        raise typer.Exit(1)


def status(
    name: Annotated[
        str, typer.Argument(metavar="STUDY", help="Its name; without, the study of the store, or a line for each.")
    ] = "",
    store: StoreOption = Path(DEFAULT_STORE),
) -> None:
    """Say how a study stands: what is done, what runs and where, what failed and why. At any time."""
    from segrank.console.output import out
    from segrank.console.study import print_manifest, print_studies
    from segrank.study.manifest import read_manifest, study_names

    results = Store(store)
    names = study_names(results)
    if not name and not names:
        out().print(f"no study was begun in {store}")
    elif name or len(names) == 1:
        found = read_manifest(results, name or names[0])
        print_manifest(found, results)
    else:
        print_studies([read_manifest(results, each) for each in names], results)


def work(
    run: Annotated[Path, typer.Argument(metavar="STORE/runs/KEY", help="The run's folder, with its spec.json.")],
    root: RootOption = None,
    device: DeviceOption = "auto",
    devices: DevicesOption = 1,
    workers: WorkersOption = None,
    micro_batch: MicroBatchOption = None,
    checkpoint_every: CheckpointOption = 300,
    keep_weights: KeepWeightsOption = True,
) -> None:
    """Go on with one run of a study: what `segrank study` and its engines start."""
    from segrank.progress import ConsoleReporter
    from segrank.study.work import work as work_on

    how: dict[str, Any] = {
        "root": root,
        "device": device,
        "devices": devices,
        "workers": workers,
        "micro_batch": micro_batch,
        "checkpoint_every_s": checkpoint_every,
        "keep_weights": keep_weights,
    }
    with ConsoleReporter() as reporter:
        code = work_on(run, reporter=reporter, **how)
    raise typer.Exit(code)
