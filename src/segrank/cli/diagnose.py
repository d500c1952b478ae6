"""`segrank diagnose`: the verb on results, from a store or from anybody's table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segrank.cli.results_options import Asked, on_results

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@on_results(resamples=2_000)
def diagnose(
    asked: Asked,
    ceiling: Annotated[
        int,
        typer.Option(
            min=0, max=100_000, metavar="N", help="Read so many label maps of each split, for its patch grid's ceiling."
        ),
    ] = 0,
    root: Annotated[Path | None, typer.Option(help="Where named datasets lie, for --ceiling.")] = None,
) -> None:
    """Look for what speaks against a ranking: one that moves, a head that was not trained, an option without effect.

    All settings of the results are looked at together, and what they have no data for is not spoken of: rankings
    across datasets and under shift, linear probing, patch sizes, learning rates, random floors, convergence, runs that
    should differ and do not, and with --ceiling what one label for each patch can reach.

    Examples: `segrank diagnose`, `segrank diagnose --where dataset=ade20k --ceiling 200 --root /data`

    docs/reading-a-ranking.md explains each.
    """
    from segrank.cli.scored_split import scored_split
    from segrank.ranking.diagnostics import diagnose as diagnose_results
    from segrank.report.sheets.diagnose import report

    if root and not ceiling:
        raise typer.BadParameter("--root is for --ceiling", param_hint="--root")
    results = asked.results()
    if ceiling and results.store is None:
        raise typer.BadParameter("a table does not say which images it is about", param_hint="--ceiling")

    def labels(dataset: str, split: str, digest: str) -> Iterator[NDArray[np.uint8]]:
        samples = scored_split(dataset, split, digest, root)
        count = min(ceiling, len(samples))
        return (samples[at * len(samples) // count].labels for at in range(count))

    found = diagnose_results(
        results,
        metric=asked.metric,
        where=asked.where,
        labels=labels if ceiling else None,
        options=asked.options,
    )
    asked.print(report(found))
