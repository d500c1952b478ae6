"""Lines over the share of the steps done, each with its name at its end. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import polars as pl

from segrank.report.figures.axes import Kinds, chart_of, fitted, layered, letters_px, told, with_kinds
from segrank.report.figures.figure import Size

_MOST_NAMED = 16
"""Lines; of more, only those in colour have their names."""
_HEIGHT = 0.45
"""Of the plot, in widths of the whole."""


def lines_along(
    table: pl.DataFrame, order: Sequence[str], heading: str, size: Size, *, wanted: float | None = None
) -> alt.LayerChart:
    """
    Args:
        table: with `line`, `progress` and `value`, which may be missing.
        order: of the lines' names; the first ones have colours and shapes.
        heading: of the values.
        size: of the chart.
        wanted: a value to be reached, a dashed line.
    """
    at = {name: number for number, name in enumerate(order)}
    table = with_kinds(table.filter(pl.col("value").is_not_null()), "line", order).with_columns(
        pl.col("line").replace_strict(at, return_dtype=pl.Int64).alias("at")
    )
    height = _HEIGHT * size.width_px
    ends = table.sort("progress").group_by("line", maintain_order=True).last()
    named = ends if ends.height <= _MOST_NAMED else ends.filter(pl.col("kind").is_not_null())
    texts = fitted(named["line"].to_list(), 0.3, size)
    wide = letters_px(max(map(len, texts), default=0) + 3, size)
    share = min(wide / (size.width_px - 4 * size.font_px), 0.6)
    x = alt.X(
        "progress:Q",
        scale=alt.Scale(domain=[0, 1 / (1 - share)], nice=False),
        axis=alt.Axis(title="share of the steps done", values=[0, 0.25, 0.5, 0.75, 1], format=".0%", grid=True),
    )
    low, high = _ends([*table["value"], *([wanted] if wanted is not None else [])])

    def y(field: str = "value", axis: alt.Axis | None = None) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[low, high], nice=False, zero=False), axis=axis)

    kinds = Kinds.of(len(order))
    grey, coloured = (table.filter(pl.col("kind").is_null() == is_grey) for is_grey in (True, False))
    tooltip = told(table, "line", "progress", "value")
    left = alt.Axis(title=heading, tickCount=6, grid=True)
    layers = [
        chart_of(grey).mark_line(style="background-line").encode(x=x, y=y(axis=left), detail="at:N"),
        chart_of(grey).mark_point(style="background-dot", filled=True).encode(x=x, y=y(), tooltip=tooltip),
        chart_of(coloured).mark_line().encode(x=x, y=y(), color=kinds.colour, strokeDash=kinds.dash),
        chart_of(coloured)
        .mark_point(filled=True)
        .encode(x=x, y=y(), color=kinds.colour, shape=kinds.shape, tooltip=tooltip),
    ]
    if wanted is not None:
        level = chart_of(pl.DataFrame({"progress": [0.0], "value": [wanted], "name": ["wanted"]}))
        layers.insert(0, level.mark_rule(style="wanted").encode(y=y()))
        text = level.mark_text(style="muted-text", align="left", dx=2, dy=-0.6 * size.font_px)
        layers.append(text.encode(x=x, y=y(), text="name:N"))
    spread = _apart(named["value"].to_list(), 1.15 * size.font_px / height * (high - low), low, high)
    names = named.with_columns(pl.Series("place", spread, pl.Float64), pl.Series("name", texts, pl.String))
    for is_grey, style in ((True, "muted-text"), (False, "on-weak")):
        text = chart_of(names.filter(pl.col("kind").is_null() == is_grey))
        text = text.mark_text(style=style, align="left", dx=size.font_px)
        layers.append(text.encode(x=x, y=y("place"), text="name:N"))
    return layered(layers, size, height)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """A little more than they span."""
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05
    return low - margin, high + margin


def _apart(values: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """The values moved as little as gives them `least` between neighbours, within the plot as far as they fit."""
    order = np.argsort(values, kind="stable")
    placed = np.array(values, np.float64)[order]
    least = min(least, (high - low) / max(len(placed), 1))
    for _ in range(200):
        gaps = np.diff(placed)
        close = np.flatnonzero(gaps < least - 1e-12)
        if not len(close):
            break
        for at in close:
            push = (least - (placed[at + 1] - placed[at])) / 2
            if push > 0:
                placed[at] -= push
                placed[at + 1] += push
        placed = np.clip(placed, low + least / 2, high - least / 2)
    found = np.empty(len(placed))
    found[order] = placed
    return list(found.tolist())
