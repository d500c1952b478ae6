"""`segrank rank`: the verb on results, from a store or from anybody's table."""

from __future__ import annotations

from typing import Annotated

import typer

from segrank.cli.results_options import Asked, on_results

AcrossOption = Annotated[
    list[str],
    typer.Option(metavar="FIELD", help="Rank for each value of it, such as `dataset`, and over all of them together."),
]


@on_results()
def rank(
    asked: Asked,
    across: AcrossOption = [],  # noqa: B006
) -> None:
    """Rank encoders within one comparable protocol, and say how sure the order is.

    Runs that differ in more than encoder and seed are not ranked together: you are told what differs, and what would
    choose. Encoders with fewer seeds than others are shown, but not ranked.

    Examples: `segrank rank --where freeze=true`, `segrank rank --across dataset`,
    `segrank rank results.csv --column encoder=backbone --metric rmse:lower`

    docs/reading-a-ranking.md explains the columns.
    """
    from segrank.ranking.rank_results import rank_results
    from segrank.report.sheets.rank import report

    found = rank_results(asked.results(), metric=asked.metric, where=asked.where, across=across, options=asked.options)
    asked.print(report(found))
