"""`segrank plan`: what a study will take, before it takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.cli.run_options import (
    AddEncoderOption,
    DeviceOption,
    KeepWeightsOption,
    RootOption,
    SetOption,
    StoreOption,
)
from segrank.store import DEFAULT_STORE

_FORMATS = ("table", "csv", "json")


def _known_format(form: str) -> str:
    if form not in _FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(_FORMATS)}", param_hint="--format")
    return form


def plan(
    source: Annotated[
        str, typer.Argument(metavar="STUDY.yaml|NAME", help="A study's file, or one that comes with segrank.")
    ],
    assignments: SetOption = [],  # noqa: B006
    encoders: AddEncoderOption = [],  # noqa: B006
    store: StoreOption = Path(DEFAULT_STORE),
    root: RootOption = None,
    device: DeviceOption = "auto",
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Runs at once: by default one for each GPU, one on a CPU.")
    ] = None,
    keep_weights: KeepWeightsOption = True,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure a few steps of each kind of run of which none is finished.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=1, max=600, help="Of a calibration: for training, and as many for evaluation.")
    ] = 10,
    runs: Annotated[bool, typer.Option("--runs", help="A row for each run, not for each setting.")] = False,
    form: Annotated[
        str, typer.Option("--format", callback=_known_format, help="table, csv or json; csv has a row for each run.")
    ] = "table",
) -> None:
    """Say what a study will take: its runs, what is missing, time, memory and disk. Nothing is run or downloaded.

    Times come from finished runs like it in the store; else from FLOPs, at the rate of other runs on the same device;
    else from calibrations, which `--calibrate` makes and which are kept. Where nothing was measured, no time is given.
    The last column says which it is, and how far off earlier predictions were stands below the table.

    Examples: `segrank plan paper --root /data`, `segrank plan mine.yaml --set steps=2000 --calibrate`

    docs/planning.md explains the columns and how it is computed.
    """
    from segrank.console.plan import print_plan
    from segrank.progress import ConsoleReporter
    from segrank.spec import parse_overrides
    from segrank.study.plan import plan_study
    from segrank.study.study import parse_encoders, read_study

    study = read_study(source, parse_overrides(assignments), parse_encoders(encoders))
    with ConsoleReporter() as reporter:
        planned = plan_study(
            study,
            store=store,
            root=root,
            device=device,
            jobs=jobs,
            keep_weights=keep_weights,
            calibrate_s=seconds if calibrate else None,
            reporter=reporter,
        )
    print_plan(planned, form, each_run=runs)
