"""Axes that charts share. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import altair as alt
import polars as pl

from segrank.report.figures.figure import Size
from segrank.report.figures.labels import printable

SIDES = ("left", "right", "top", "bottom")
_SLANT = -40
"""Degrees."""
GAP = "\N{NO-BREAK SPACE}" * 2
"""Between two things in one label: other spaces become one."""


def by_place(texts: Sequence[str]) -> str:
    """What an axis says whose values are 0, 1, 2 ...: the text at that place, as a Vega expression."""
    return f"{json.dumps(list(texts))}[datum.value]"


def column(texts: Sequence[str], heading: str, size: Size, lines: float = 0) -> alt.Axis:
    """Text at the right of each row, so many lines further out."""
    return alt.Axis(
        labelExpr=by_place(texts),
        orient="right",
        offset=lines * size.font_px,
        ticks=False,
        title=heading,
        titleAngle=0,
        titleAlign="left",
        titleBaseline="bottom",
        titleX=size.font_px / 3,
        titleY=-size.font_px / 3,
    )


def headings(names: Sequence[str], *, slanted: bool, grid: bool = False) -> alt.Axis:
    """Of columns, above them."""
    return alt.Axis(
        labelExpr=by_place(names),
        orient="top",
        title=None,
        labelAngle=_SLANT if slanted else 0,
        labelAlign="left" if slanted else "center",
        ticks=False,
        grid=grid,
        translate=0,
    )


def letters_px(number: int, size: Size) -> float:
    """About how wide so many letters are."""
    return number * 0.55 * size.font_px


def slanted_px(text: str, size: Size) -> float:
    """About how far a slanted heading reaches to the right."""
    return letters_px(len(text), size) * math.cos(math.radians(_SLANT))


def quantity(title: str) -> alt.Axis:
    return alt.Axis(title=title, grid=True, tickCount=6)


def chart_of(table: pl.DataFrame) -> alt.Chart:
    """A chart of a table's rows. All text in it is printable: pictures hold it, and so does what is told of them."""
    rows = [
        {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in table.iter_rows(named=True)
    ]
    return alt.Chart(alt.InlineData(values=rows))


def told(table: pl.DataFrame, *columns: str) -> list[alt.Tooltip]:
    """What a page says of a mark."""
    kinds = {column: "N" if table.schema[column] == pl.String else "Q" for column in columns}
    return [
        alt.Tooltip(f"{column}:{kind}", format=".4~g") if kind == "Q" else alt.Tooltip(f"{column}:{kind}")
        for column, kind in kinds.items()
    ]


def layered(
    layers: Sequence[alt.Chart],
    size: Size,
    height: float | alt.Step,
    *,
    width_px: float | None = None,
    right_px: float = 0,
) -> alt.LayerChart:
    """One plot of several layers, with its axes as wide as the size. Each layer says which y axis it brings.

    Args:
        layers: from the one below to the one on top.
        size: its width.
        height: of the plot, or of each row in it.
        width_px: less than the size's.
        right_px: what sticks out there that Vega makes no room for: slanted text.
    """
    over = max(right_px, 0)
    chart: alt.LayerChart = alt.layer(*layers).resolve_axis(y="independent")
    return chart.properties(
        width=min(width_px + over if width_px else size.width_px, size.width_px),
        height=height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        **({"padding": {side: size.font_px / 2 + over * (side == "right") for side in SIDES}} if over else {}),
    )
