"""Rows with a dot and an interval each: what a ranking, differences and effects look like. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import polars as pl

from segrank.report.figures.axes import by_place, chart_of, column, layered, quantity, told
from segrank.report.figures.figure import Size

Look = Literal["lead", "rest", "out"]
"""A filled dot, an empty one, a cross."""
LOOKS: dict[Look, dict[str, Any]] = {
    "lead": {"style": "lead"}, "rest": {"style": "hollow"}, "out": {"style": "muted", "shape": "cross"}
}  # fmt: skip


@dataclass(frozen=True)
class Beside:
    """A column of text at the right."""

    heading: str
    texts: Sequence[str]
    letters: int
    """How wide it is."""


def dots_with_intervals(
    table: pl.DataFrame,
    names: Sequence[str],
    heading: str,
    size: Size,
    *,
    tooltip: Sequence[str],
    beside: Sequence[Beside] = (),
    below: Sequence[alt.Chart] = (),
    zero: bool = False,
) -> alt.LayerChart:
    """A row for each name, from the top.

    Args:
        table: with `at` 0, 1, 2 ..., `value`, `low`, `high` and `look`.
        names: of the rows, short enough.
        heading: of the values.
        size: of the chart.
        tooltip: columns of the table that a page tells.
        beside: columns at the right.
        below: layers that lie under the dots and intervals, on the same axes.
        zero: draw a line at 0.
    """
    no_axis = alt.Y("at:O", axis=None)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", axis=quantity(heading), scale=alt.Scale(zero=zero, nice=True))

    axes, offset = [], 0.0
    for one in beside:
        axes.append(alt.Y("at:O", axis=column(one.texts, one.heading, size, offset)))
        offset += 0.55 * one.letters + 0.7
    left = alt.Axis(title=None, labelExpr=by_place(names), ticks=False, grid=True, translate=0)
    layers = [*below, chart_of(table).mark_rule().encode(x=x("low"), x2="high:Q", y=alt.Y("at:O", axis=left))]
    if zero:
        line = chart_of(pl.DataFrame({"value": [0.0]}))
        layers.insert(0, line.mark_rule(style="zero").encode(x=x("value")))
    for number, (look, how) in enumerate(LOOKS.items()):
        dots: alt.Chart = chart_of(table.filter(pl.col("look") == look)).mark_point(filled=True, **how)
        y = axes[number] if number < len(axes) else no_axis
        layers.append(dots.encode(x=x("value"), y=y, tooltip=told(table, *tooltip)))
    return layered(layers, size, 1.75 * size.font_px * len(names))
