"""What a protocol costs against how far it keeps the target's order. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from segrank.ranking.recommend import Recommendation
from segrank.ranking.recommend_export import frame
from segrank.ranking.recommend_words import answer
from segrank.report.figures.axes import chart_of, layered, told
from segrank.report.figures.figure import DOUBLE, Figure, Size
from segrank.report.figures.labels import labels, printable, short
from segrank.report.figures.places import Box, free_places

_HEIGHT = 0.5
"""Of the plot, in widths."""
_MOST_NAMED = 16
_TOLD = ("protocols", "encoders", "cost", "of_target", "tau", "at_least", "low", "high")


def cost(recommendation: Recommendation, *, size: Size = DOUBLE) -> Figure | None:
    """Every protocol, and the sets of protocols on the Pareto front, by cost and by tau with the target.

    Filled: the recommended one. The stepped line is the Pareto front; thin vertical lines are intervals of the true
    orders' tau; the diamond is the target itself. Dashed: the tau that is wanted; dotted: what the target would have
    with its own repetition. A protocol may lack its name for want of room.

    Returns:
        None where costs or taus are not known.
    """
    table = frame(recommendation).filter(pl.col("cost") > 0, pl.col("tau").is_not_null())
    if table.is_empty() or not recommendation.target_cost:
        return None
    return Figure(
        name="cost",
        title=f"Cost against agreement with {short(recommendation.target.name, 60)}",
        chart=_chart(table, recommendation, recommendation.target_cost, size),
        alternative=printable(answer(recommendation)),
        table=table,
        size=size,
    )


@dataclass(frozen=True)
class _Frame:
    """The scales of the plot, and about its size."""

    cost: tuple[float, float]
    tau: tuple[float, float]
    width_px: float
    height_px: float

    def place(self, cost: float, tau: float) -> tuple[float, float]:
        """Pixels from the top left."""
        low, high = np.log(self.cost)
        across = (np.log(cost) - low) / (high - low)
        down = (self.tau[1] - tau) / (self.tau[1] - self.tau[0])
        return float(across * self.width_px), float(down * self.height_px)


def _chart(table: pl.DataFrame, of: Recommendation, target: float, size: Size) -> alt.LayerChart:
    costs = [*table["cost"], target]
    lowest = min(*table["tau"], *table["low"].drop_nulls(), of.wanted.tau)
    frame = _Frame(
        cost=(min(costs) / 1.5, max(costs) * 1.5),
        tau=(max(float(np.floor(10 * lowest) / 10) - 0.1, -1.05), 1.05),
        width_px=size.width_px - 5 * size.font_px,
        height_px=_HEIGHT * size.width_px,
    )
    x = alt.X(
        "cost:Q",
        scale=alt.Scale(type="log", domain=list(frame.cost), nice=False),
        axis=alt.Axis(title=f"{of.unit} of one encoder", format="~s", tickCount=5, grid=True),
    )
    left = alt.Axis(title=f"tau with {short(of.target.name, 30)}", tickCount=6, grid=True)

    def y(field: str, axis: alt.Axis | None = None) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=alt.Scale(domain=list(frame.tau), nice=False), axis=axis)

    def points(rows: pl.DataFrame, **looks: Any) -> alt.Chart:
        chart: alt.Chart = chart_of(rows).mark_point(filled=True, **looks)
        return chart.encode(x=x, y=y("tau"), tooltip=told(table, *_TOLD))

    repeated = next((one.found.ceiling_x for one in of.candidates if one.found and one.found.ceiling_x), None)
    levels = {("wanted", "wanted"): of.wanted.tau}
    if repeated:
        levels["repeated", f"{short(of.target.name, 30)} repeated"] = repeated.expected
    front = table.filter("pareto").sort("cost")
    itself = pl.DataFrame([{"protocols": of.target.name, "cost": target, "tau": 1.0}], schema=table.schema)
    layers = [
        chart_of(front).mark_line(style="front", interpolate="step-after").encode(x=x, y=y("tau", left)),
        chart_of(table).mark_rule(style="interval").encode(x=x, y=y("low"), y2="high:Q"),
        points(table.filter(~pl.col("chosen")), style="hollow"),
        points(itself, style="muted", shape="diamond"),
        points(table.filter("chosen"), style="lead", size=9 * size.font_px),
    ]
    for (style, name), tau in levels.items():
        level = chart_of(pl.DataFrame({"cost": [frame.cost[0]], "tau": [tau], "name": [name]}))
        layers.insert(0, level.mark_rule(style=style).encode(y=y("tau")))
        text = level.mark_text(style="muted-text", align="left", dx=2, dy=-0.6 * size.font_px)
        layers.append(text.encode(x=x, y=y("tau"), text="name:N"))
    order = pl.concat([itself, table.sort("chosen", "pareto", "number", descending=[True, True, False])])
    where = [frame.place(cost, tau) for cost, tau in order.select("cost", "tau").iter_rows()]
    names = labels(order["protocols"].to_list()[:_MOST_NAMED], 30)
    lines = _lines(front, table, list(levels.values()), frame)
    places = free_places(where, names, (frame.width_px, frame.height_px), size, lines=lines)
    for (cost, tau), name, place in zip(order.select("cost", "tau").iter_rows(), names, places, strict=False):
        if place is not None:
            text = chart_of(pl.DataFrame({"cost": [cost], "tau": [tau], "name": [name]})).mark_text(
                align=place.align, dx=place.dx * size.font_px, dy=place.dy * size.font_px
            )
            layers.append(text.encode(x=x, y=y("tau"), text="name:N"))
    return layered(layers, size, frame.height_px)


def _lines(front: pl.DataFrame, table: pl.DataFrame, levels: Sequence[float], frame: _Frame) -> list[Box]:
    """What a name had better not lie on."""
    found: list[Box] = []
    for level in levels:
        (_, down) = frame.place(frame.cost[0], level)
        found.append((0, down, frame.width_px, down))
    corners = [frame.place(cost, tau) for cost, tau in front.select("cost", "tau").iter_rows()]
    found += [(x, y, right, y) for (x, y), (right, _) in pairwise(corners)]
    for cost, low, high in table.select("cost", "low", "high").drop_nulls().iter_rows():
        across, bottom = frame.place(cost, low)
        found.append((across, frame.place(cost, high)[1], across, bottom))
    return found
