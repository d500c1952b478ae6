"""`segrank effects`: the verb on results, from a store or from anybody's table."""

from __future__ import annotations

from typing import Annotated

import typer

from segrank.cli.results_options import Asked, on_results

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


@on_results()
def effects(
    asked: Asked,
    across: AcrossOption = [],  # noqa: B006
    factor: FactorOption = [],  # noqa: B006
) -> None:
    """Say what explains the scores: how encoders were pretrained, steps between them, settings, and what confounds it.

    With few encoders most effects are uncertain, and some could not be shown whatever the scores: both are said. Name
    the factors you ask about with --factor before you look: the fewer are tested, the less is lost to correction.

    Examples: `segrank effects --where freeze=false`, `segrank effects --across freeze --factor abstract`,
    `segrank effects results.csv --factor objective`

    docs/reading-a-ranking.md explains the columns.
    """
    from segrank.ranking.effects import effects as effects_of
    from segrank.report.sheets.effects import report

    found = effects_of(
        asked.results(),
        metric=asked.metric,
        where=asked.where,
        across=across,
        factors=factor,
        options=asked.options,
    )
    asked.print(report(found))
