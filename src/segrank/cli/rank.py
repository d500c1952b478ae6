"""`segrank rank`: the verb on results, from a store or from anybody's table."""

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

AcrossOption = Annotated[
    list[str],
    typer.Option(metavar="FIELD", help="Rank for each value of it, such as `dataset`, and over all of them together."),
]


def rank(
    source: SourceArgument = Path(DEFAULT_STORE),
    metric: MetricOption = "",
    where: WhereOption = [],  # noqa: B006
    across: AcrossOption = [],  # noqa: B006
    form: FormatOption = "table",
    resamples: ResamplesOption = 10_000,
    seed: SeedOption = 0,
    group_images: GroupOption = "",
    column: ColumnOption = [],  # noqa: B006
    same: SameOption = [],  # noqa: B006
    delimiter: DelimiterOption = "",
) -> None:
    """Rank encoders within one comparable protocol, and say how sure the order is.

    Runs that differ in more than encoder and seed are not ranked together: you are told what differs, and what would
    choose. Encoders with fewer seeds than others are shown, but not ranked.

    Examples: `segrank rank --where freeze=true`, `segrank rank --across dataset`,
    `segrank rank results.csv --column encoder=backbone --metric rmse:lower`

    docs/reading-a-ranking.md explains the columns.
    """
    from segrank.console.report import print_report
    from segrank.ranking.leaderboard import Options
    from segrank.ranking.rank_results import rank_results
    from segrank.report.sheets.rank import report

    results = open_results(source, [metric] if metric else [], column, same, delimiter)
    options = Options(resamples=resamples, seed=seed, group_images=group_images)
    print_report(report(rank_results(results, metric=metric, where=where, across=across, options=options)), form)
