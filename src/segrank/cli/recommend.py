"""`segrank recommend`: the verb on results, from a store or from anybody's table."""

from __future__ import annotations

from typing import Annotated

import typer

from segrank.cli.results_options import Asked, SettingsOption, on_results


@on_results(several=True)
def recommend(
    asked: Asked,
    target: Annotated[
        list[str],
        typer.Option(metavar="FIELD=VALUE", help="The protocol whose order is to be kept; or its name in the table."),
    ] = [],  # noqa: B006
    tau: Annotated[float, typer.Option(min=-1, max=1, help="Agreement with it that is wanted.")] = 0.8,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="That it holds for other encoders too.")] = 0.95,
    most: Annotated[int, typer.Option(min=1, max=3, help="Protocols that may be run together.")] = 3,
    across: SettingsOption = [],  # noqa: B006
) -> None:
    """Say which cheap protocol, or set of up to three, orders the encoders as an expensive one does.

    Cost against Kendall's tau with the target; the least cost for the tau that is wanted; whether that choice stays
    when encoders are left out; and after how many of its steps the target's order was there.

    Examples: `segrank recommend --target freeze=false`, `segrank recommend --target base --where memory_gib<=8`,
    `segrank recommend results.csv --target dataset=ade20k --tau 0.7`

    docs/reading-a-ranking.md explains the columns.
    """
    from segrank.ranking.recommend import Wanted
    from segrank.ranking.recommend import recommend as recommended
    from segrank.ranking.table import results_of
    from segrank.report.sheets.recommend import report

    if not target:
        raise typer.BadParameter("say whose order is to be kept: --target FIELD=VALUE", param_hint="--target")
    results = asked.results()
    found = recommended(
        results,
        target=target,
        metrics=asked.metrics,
        where=asked.where,
        across=across,
        wanted=Wanted(tau, confidence, most),
        along=results_of(results.store, final=False) if results.store else None,
        options=asked.options,
    )
    asked.print(report(found))
