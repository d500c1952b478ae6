"""`segrank compare`: two encoders against each other."""

from __future__ import annotations

from typing import Annotated

import typer

from segrank.cli.results_options import Asked, on_results


@on_results()
def compare(
    asked: Asked,
    a: Annotated[str, typer.Argument(metavar="A", help="An encoder, as `segrank rank` shows it; `*` is any text.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    across: Annotated[
        list[str], typer.Option(metavar="FIELD", help="Compare for each value of it, such as `dataset`, by itself.")
    ] = [],  # noqa: B006
    most: Annotated[
        int,
        typer.Option(min=1, help="Classes, and images for each encoder, that a table shows; csv and json have all."),
    ] = 8,
) -> None:
    """Compare two encoders, over the same images and the same seeds.

    The difference with its interval, the probability that A is truly better, each class, the images that decide it,
    and how many seeds or images would settle it.

    Examples: `segrank compare dinov2-base mae-base`, `segrank compare dinov2-base mae-base --across dataset`,
    `segrank compare a b results.csv`

    docs/reading-a-ranking.md explains what it says.
    """
    from segrank.ranking.compare import compare as compare_encoders
    from segrank.report.sheets.compare import report

    found = compare_encoders(
        asked.results(), a, b, metric=asked.metric, where=asked.where, across=across, options=asked.options
    )
    asked.print(report(found, most))
