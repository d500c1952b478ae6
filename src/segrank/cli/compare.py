"""`segrank compare`: two encoders against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.cli.results_options import (
    ColumnOption,
    DelimiterOption,
    FormatOption,
    GroupOption,
    MetricOption,
    ResamplesOption,
    SameOption,
    SeedOption,
    SourceArgument,
    WhereOption,
    open_results,
)
from segrank.store import DEFAULT_STORE


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="An encoder, as `segrank rank` shows it; `*` is any text.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    source: SourceArgument = Path(DEFAULT_STORE),
    metric: MetricOption = "",
    where: WhereOption = [],  # noqa: B006
    across: Annotated[
        list[str], typer.Option(metavar="FIELD", help="Compare for each value of it, such as `dataset`, by itself.")
    ] = [],  # noqa: B006
    form: FormatOption = "table",
    most: Annotated[
        int,
        typer.Option(min=1, help="Classes, and images for each encoder, that a table shows; csv and json have all."),
    ] = 8,
    resamples: ResamplesOption = 10_000,
    seed: SeedOption = 0,
    group_images: GroupOption = "",
    column: ColumnOption = [],  # noqa: B006
    same: SameOption = [],  # noqa: B006
    delimiter: DelimiterOption = "",
) -> None:
    """Compare two encoders, over the same images and the same seeds.

    The difference with its interval, the probability that A is truly better, each class, the images that decide it,
    and how many seeds or images would settle it.

    Examples: `segrank compare dinov2-base mae-base`, `segrank compare dinov2-base mae-base --across dataset`,
    `segrank compare a b results.csv`

    docs/reading-a-ranking.md explains what it says.
    """
    from segrank.console.report import print_report
    from segrank.ranking.compare import compare as compare_encoders
    from segrank.ranking.leaderboard import Options
    from segrank.report.sheets.compare import report

    results = open_results(source, [metric] if metric else [], column, same, delimiter)
    options = Options(resamples=resamples, seed=seed, group_images=group_images)
    found = compare_encoders(results, a, b, metric=metric, where=where, across=across, options=options)
    print_report(report(found, most), form)
