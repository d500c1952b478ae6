"""How scores and their order came about during training. No torch."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from segrank.ranking.along_the_way import AlongTheWay
from segrank.ranking.results import Metric
from segrank.report.figures.figure import DOUBLE, Figure, Size
from segrank.report.figures.labels import short
from segrank.report.figures.lines import lines_along
from segrank.report.figures.units import unit_of

_STABILITY = pl.Schema(
    {"setting": pl.String, "progress": pl.Float64, "tau": pl.Float64, "encoders": pl.Int64, "images": pl.Int64}
)


def learning_curves(table: pl.DataFrame, metric: Metric, *, size: Size = DOUBLE) -> Figure | None:
    """Scores of each encoder against the share of the steps done; those that end first have colours and shapes.

    Args:
        table: from `segrank.ranking.learning_curves`.
        metric: of its scores.
        size: of the chart.

    Returns:
        None where there is no curve.
    """
    if table["progress"].n_unique() < 2:
        return None
    unit = unit_of(metric)
    ends = table.sort("progress").group_by("encoder", maintain_order=True).last()
    order = ends.sort("progress", "score", descending=[True, metric.direction == "higher"])["encoder"].to_list()
    lines = unit.applied(table, "score").rename({"encoder": "line", "score": "value"})
    return Figure(
        name="learning-curves",
        title=f"{unit.name} along the way",
        chart=lines_along(lines, order, unit.title, size),
        alternative=(
            f"{unit.name} of {len(order)} encoders from {_percent(table['progress'].min())} to "
            f"{_percent(table['progress'].max())} of the steps: {short(order[0], 60)} ends first."
        ),
        table=table,
        size=size,
    )


def stability(settings: Mapping[str, AlongTheWay], *, wanted: float = 0.8, size: Size = DOUBLE) -> Figure | None:
    """tau of the order along the way with the final order, for each setting. Dashed: the tau that is wanted.

    Returns:
        None where no order along the way has a tau.
    """
    rows = [
        {"setting": name, "progress": at.progress, "tau": at.tau, "encoders": at.encoders, "images": at.images}
        for name, along in settings.items()
        for at in along.points
    ]
    table = pl.DataFrame(rows, schema=_STABILITY)
    known = table.filter(pl.col("tau").is_not_null())
    if known.is_empty():
        return None
    stable = [along.stable_from(wanted) for along in settings.values()]
    early = [progress for progress in stable if progress is not None]
    said = f"in {len(early)} of {len(stable)} settings it is {wanted:g} or more"
    return Figure(
        name="rank-stability",
        title="Stability of the order over the steps",
        chart=lines_along(
            known.rename({"setting": "line", "tau": "value"}),
            list(dict.fromkeys(known["setting"])),
            "tau with the final order",
            size,
            wanted=wanted,
        ),
        alternative=(
            f"Kendall's tau of the order along the way with the final one: {said}"
            f"{f' from {_percent(max(early))} of the steps on at the latest' if early else ''}."
        ),
        table=table,
        size=size,
    )


def _percent(share: object) -> str:
    assert isinstance(share, float)
    return f"{100 * share:.3g} %"
