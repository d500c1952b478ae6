"""`segrank plan`: what a study will take, before it takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    assignments: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="A field of every run; can be repeated.")
    ] = [],  # noqa: B006
    store: Annotated[
        Path, typer.Option("--store", envvar="SEGRANK_STORE", help="The results folder.", show_default=True)
    ] = Path(DEFAULT_STORE),
    root: Annotated[
        Path | None,
        typer.Option(help="Where named datasets lie, in their archives or unpacked; by default $SEGRANK_DATA."),
    ] = None,
    device: Annotated[str, typer.Option(help="That the runs will be on: auto, cpu or cuda.")] = "auto",
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Runs at once: by default one for each GPU, one on a CPU.")
    ] = None,
    keep_weights: Annotated[bool, typer.Option(help="Whether trained weights will be kept.")] = True,
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
    from segrank.study.study import read_study

    study = read_study(source, parse_overrides(assignments))
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
