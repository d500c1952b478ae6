"""`segrank compare`: two encoders against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segrank.cli.rank import (
    ColumnOption,
    DelimiterOption,
    MetricOption,
    SameOption,
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
    form: Annotated[str, typer.Option("--format", help="table, csv, json or markdown.")] = "table",
    most: Annotated[
        int,
        typer.Option(min=1, help="Classes, and images for each encoder, that a table shows; csv and json have all."),
    ] = 8,
    resamples: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Of the test images, from which intervals come.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling.")] = 0,
    group_images: Annotated[
        str,
        typer.Option(
            metavar="REGEX", help="Images whose names have the same match are drawn together: frames of a film."
        ),
    ] = "",
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
    from segrank.console.compare import FORMATS, print_comparison
    from segrank.ranking.compare import compare as compare_encoders
    from segrank.ranking.leaderboard import Options

    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(FORMATS)}", param_hint="--format")
    results = open_results(source, [metric] if metric else [], column, same, delimiter)
    options = Options(resamples=resamples, seed=seed, group_images=group_images)
    found = compare_encoders(results, a, b, metric=metric, where=where, across=across, options=options)
    print_comparison(found, form, most)
