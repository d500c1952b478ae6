"""`segrank agree`: the verb on results, from a store or from anybody's table."""

from __future__ import annotations

from pathlib import Path

from segrank.cli.results_options import (
    ColumnOption,
    DelimiterOption,
    FormatOption,
    GroupOption,
    MetricsOption,
    ResamplesOption,
    SameOption,
    SeedOption,
    SettingsOption,
    SourceArgument,
    WhereOption,
    listed,
    open_results,
)
from segrank.store import DEFAULT_STORE


def agree(
    source: SourceArgument = Path(DEFAULT_STORE),
    metrics: MetricsOption = "",
    where: WhereOption = [],  # noqa: B006
    across: SettingsOption = [],  # noqa: B006
    form: FormatOption = "table",
    resamples: ResamplesOption = 10_000,
    seed: SeedOption = 0,
    group_images: GroupOption = "",
    column: ColumnOption = [],  # noqa: B006
    same: SameOption = [],  # noqa: B006
    delimiter: DelimiterOption = "",
) -> None:
    """Say how far settings, datasets or metrics order the encoders alike, and whether noise explains the rest.

    Kendall's tau-b between every two of them, with intervals; which encoders change places, and whether really; and
    the tau that noise alone would leave of one order.

    Examples: `segrank agree`, `segrank agree --across dataset`, `segrank agree --across card_size`,
    `segrank agree results.csv --metrics miou,depth:rmse,normals:lower`

    docs/reading-a-ranking.md explains the columns.
    """
    from segrank.console.report import print_report
    from segrank.ranking.agree import agree as agree_on
    from segrank.ranking.leaderboard import Options
    from segrank.report.sheets.agree import report

    names = listed(metrics)
    results = open_results(source, names, column, same, delimiter)
    options = Options(resamples=resamples, seed=seed, group_images=group_images)
    print_report(report(agree_on(results, metrics=names, where=where, across=across, options=options)), form)
