"""`segrank agree`: the verb on results, from a store or from anybody's table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.cli.rank import (
    ColumnOption,
    DelimiterOption,
    SameOption,
    SourceArgument,
    WhereOption,
    open_results,
)  # fmt: skip
from segrank.store import DEFAULT_STORE

MetricsOption = Annotated[
    str,
    typer.Option("--metrics", "--metric", metavar="A,B:lower,C", help="Several are set beside each other; `miou`."),
]
SettingsOption = Annotated[
    list[str],
    typer.Option(
        "--across", metavar="FIELD", help="Fields in which settings differ, such as `dataset`; by default all that do."
    ),
]
FormatOption = Annotated[str, typer.Option("--format", help="table, csv, json or markdown.")]
ResamplesOption = Annotated[int, typer.Option(min=100, max=1_000_000, help="Of the test images.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of resamples and draws.")]
GroupOption = Annotated[
    str,
    typer.Option(metavar="REGEX", help="Images whose names have the same match are drawn together: frames of a film."),
]


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
    from segrank.console.agree import report
    from segrank.console.report import FORMATS, print_report
    from segrank.ranking.agree import agree as agree_on
    from segrank.ranking.leaderboard import Options

    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(FORMATS)}", param_hint="--format")
    names = listed(metrics)
    results = open_results(source, names, column, same, delimiter)
    options = Options(resamples=resamples, seed=seed, group_images=group_images)
    print_report(report(agree_on(results, metrics=names, where=where, across=across, options=options)), form)


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
