"""What `segrank demo` does: a study, its ranking, how far its settings agree, and its page."""

from __future__ import annotations

import os
from pathlib import Path

import typer

TITLE = "Seven small encoders, tuned and frozen, by day and at dusk"
MOST_JOBS = 2
"""Runs at once: more do not help, since the machine's cores are few or the runs short."""


def run_demo(store: Path, device: str) -> None:
    """Do the study `demo`, or go on with it, and print what comes of it.

    Raises:
        typer.Exit: with 130 after a stop, with 1 if a run failed.
    """
    from segrank.cli.study_page import print_page
    from segrank.console.report import print_report
    from segrank.console.study import StudyBoard, print_result
    from segrank.ranking.agree import agree
    from segrank.ranking.rank_results import rank_results
    from segrank.ranking.table import results_of
    from segrank.report.sheets import agree as agreement
    from segrank.report.sheets import rank as ranking
    from segrank.report.study import read_study
    from segrank.store import Store
    from segrank.study.devices import device_for
    from segrank.study.run_study import run_study

    jobs = min(MOST_JOBS, os.cpu_count() or 1) if device_for(device) == "cpu" else None
    with StudyBoard() as board:
        result = run_study("demo", store=store, device=device, jobs=jobs, board=board)
    print_result(result)
    if not result.ok:
        raise typer.Exit(130 if result.stopped else 1)
    results = results_of(Store(store))
    across = ["freeze", "eval_dataset"]
    options = " ".join(f"--across {field}" for field in across)
    _heading(f"segrank rank {store} {options}")
    print_report(ranking.report(rank_results(results, across=across)), "table")
    _heading(f"segrank agree {store} {options}")
    print_report(agreement.report(agree(results, across=across)), "table")
    _heading(f"segrank report {store} --images 12 --out {store / 'report.html'}")
    study = read_study(results, along=results_of(Store(store), final=False))
    print_page(study, store / "report.html", title=TITLE, images=12)


def _heading(command: str) -> None:
    from segrank.console.output import out

    out().print(f"\n$ {command}", style="bold", markup=False)
