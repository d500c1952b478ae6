"""`segrank diagnose`: the verb on results, from a store or from anybody's table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def diagnose(
    source: SourceArgument = Path(DEFAULT_STORE),
    metric: MetricOption = "",
    where: WhereOption = [],  # noqa: B006
    ceiling: Annotated[
        int,
        typer.Option(
            min=0, max=100_000, metavar="N", help="Read so many label maps of each split, for its patch grid's ceiling."
        ),
    ] = 0,
    root: Annotated[Path | None, typer.Option(help="Where named datasets lie, for --ceiling.")] = None,
    form: FormatOption = "table",
    resamples: ResamplesOption = 2_000,
    seed: SeedOption = 0,
    group_images: GroupOption = "",
    column: ColumnOption = [],  # noqa: B006
    same: SameOption = [],  # noqa: B006
    delimiter: DelimiterOption = "",
) -> None:
    """Look for what speaks against a ranking: one that moves, a head that was not trained, an option without effect.

    All settings of the results are looked at together, and what they have no data for is not spoken of: rankings
    across datasets and under shift, linear probing, patch sizes, learning rates, random floors, convergence, runs that
    should differ and do not, and with --ceiling what one label for each patch can reach.

    Examples: `segrank diagnose`, `segrank diagnose --where dataset=ade20k --ceiling 200 --root /data`

    docs/reading-a-ranking.md explains each.
    """
    from segrank.cli.scored_split import scored_split
    from segrank.console.report import print_report
    from segrank.ranking.diagnostics import diagnose as diagnose_results
    from segrank.ranking.leaderboard import Options
    from segrank.report.sheets.diagnose import report

    if root and not ceiling:
        raise typer.BadParameter("--root is for --ceiling", param_hint="--root")
    results = open_results(source, [metric] if metric else [], column, same, delimiter)
    if ceiling and results.store is None:
        raise typer.BadParameter("a table does not say which images it is about", param_hint="--ceiling")

    def labels(dataset: str, split: str, digest: str) -> Iterator[NDArray[np.uint8]]:
        samples = scored_split(dataset, split, digest, root)
        count = min(ceiling, len(samples))
        return (samples[at * len(samples) // count].labels for at in range(count))

    found = diagnose_results(
        results,
        metric=metric,
        where=where,
        labels=labels if ceiling else None,
        options=Options(resamples=resamples, seed=seed, group_images=group_images),
    )
    print_report(report(found), form)
