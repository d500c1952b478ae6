"""`segrank place`: where a new encoder lands among known ones."""

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


def place(
    encoder: Annotated[
        str, typer.Argument(metavar="NEW", help="An encoder, as `segrank rank` shows it; `*` is any text.")
    ],
    source: SourceArgument = Path(DEFAULT_STORE),
    metric: MetricOption = "",
    where: WhereOption = [],  # noqa: B006
    form: FormatOption = "table",
    resamples: ResamplesOption = 10_000,
    seed: SeedOption = 0,
    group_images: GroupOption = "",
    column: ColumnOption = [],  # noqa: B006
    same: SameOption = [],  # noqa: B006
    delimiter: DelimiterOption = "",
) -> None:
    """Place a new encoder among known ones, from a few cheap runs.

    Under each protocol that it shares with others: its rank and the ranks that it may truly have, the probability that
    it is better than each, and from whom it cannot be separated. It may have fewer seeds than they have. If it shares
    a protocol with no other, you are told what differs.

    Examples: `segrank place dinov3-base`, `segrank place dinov3-base --where freeze=true`

    docs/reading-a-ranking.md explains what it says.
    """
    from segrank.console.report import print_report
    from segrank.ranking.leaderboard import Options
    from segrank.ranking.place import place as place_encoder
    from segrank.report.sheets.place import report

    results = open_results(source, [metric] if metric else [], column, same, delimiter)
    options = Options(resamples=resamples, seed=seed, group_images=group_images)
    print_report(report(place_encoder(results, encoder, metric=metric, where=where, options=options)), form)
