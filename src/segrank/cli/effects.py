"""`segrank effects`: the verb on results, from a store or from anybody's table."""

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
    typer.Option(metavar="FIELD", help="Fields in which settings differ, such as `freeze`: looked at as well."),
]
FactorOption = Annotated[
    list[str],
    typer.Option(
        metavar="NAME",
        help="mim, mim_target, abstract, supervision, promptable, or a column; all five if none is named.",
    ),
]


def effects(
    source: SourceArgument = Path(DEFAULT_STORE),
    metric: MetricOption = "",
    where: WhereOption = [],  # noqa: B006
    across: AcrossOption = [],  # noqa: B006
    factor: FactorOption = [],  # noqa: B006
    form: FormatOption = "table",
    resamples: ResamplesOption = 10_000,
    seed: SeedOption = 0,
    group_images: GroupOption = "",
    column: ColumnOption = [],  # noqa: B006
    same: SameOption = [],  # noqa: B006
    delimiter: DelimiterOption = "",
) -> None:
    """Say what explains the scores: how encoders were pretrained, steps between them, settings, and what confounds it.

    With few encoders most effects are uncertain, and some could not be shown whatever the scores: both are said. Name
    the factors you ask about with --factor before you look: the fewer are tested, the less is lost to correction.

    Examples: `segrank effects --where freeze=false`, `segrank effects --across freeze --factor abstract`,
    `segrank effects results.csv --factor objective`

    docs/reading-a-ranking.md explains the columns.
    """
    from segrank.console.report import print_report
    from segrank.ranking.effects import effects as effects_of
    from segrank.ranking.leaderboard import Options
    from segrank.report.sheets.effects import report

    results = open_results(source, [metric] if metric else [], column, same, delimiter)
    options = Options(resamples=resamples, seed=seed, group_images=group_images)
    found = effects_of(results, metric=metric, where=where, across=across, factors=factor, options=options)
    print_report(report(found), form)
