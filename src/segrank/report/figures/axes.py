"""Axes that charts share. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl

from segrank.report.figures.figure import Size
from segrank.report.figures.labels import labels, printable, room

SIDES = ("left", "right", "top", "bottom")
_SLANT = -40
"""Degrees."""
_LONGEST = 56
"""Label, in letters."""
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


def fitted(names: Sequence[str], share: float, size: Size) -> list[str]:
    """Labels that take a share of the width at most."""
    return labels(names, min(_LONGEST, room(share, size.width_px, size.font_px)))


def overhang_px(names: Sequence[str], column_px: float, size: Size) -> float:
    """About how far slanted headings of columns reach beyond the last column; less than 0 if they do not."""
    columns = [(len(names) - at - 0.5) * column_px for at in range(len(names))]
    slanted = [letters_px(len(name), size) * math.cos(math.radians(_SLANT)) for name in names]
    return max(reach - left for reach, left in zip(slanted, columns, strict=True))


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


MOST_KINDS = 5
"""So many colours, shapes and dashes are told apart."""


def with_kinds(table: pl.DataFrame, column: str, names: Sequence[str]) -> pl.DataFrame:
    """With the column `kind`: the place of a row's name among the first names, or nothing."""
    kinds = {name: at for at, name in enumerate(names[:MOST_KINDS])}
    return table.with_columns(pl.col(column).replace_strict(kinds, default=None, return_dtype=pl.Int64).alias("kind"))


@dataclass(frozen=True)
class Kinds:
    """How the kinds of `with_kinds` look: by colour and, with it, by dash or shape."""

    colour: alt.Color
    dash: alt.StrokeDash
    shape: alt.Shape

    @classmethod
    def of(cls, number: int, legend: alt.Legend | None = None) -> Kinds:
        scale = alt.Scale(domain=list(range(min(number, MOST_KINDS))))
        return cls(
            alt.Color("kind:N", scale=scale, legend=legend),
            alt.StrokeDash("kind:N", scale=scale, legend=None),
            alt.Shape("kind:N", scale=scale, legend=legend),
        )


def layered(
    layers: Sequence[alt.Chart],
    size: Size,
    height_px: float,
    *,
    width_px: float | None = None,
    right_px: float = 0,
) -> alt.LayerChart:
    """One plot of several layers, with its axes as wide as the size. Each layer says which y axis it brings.

    Args:
        layers: from the one below to the one on top.
        size: its width.
        height_px: of the plot; not told as a step for each row, as Vega-Lite warns that this does not fit a width.
        width_px: less than the size's.
        right_px: what sticks out there that Vega makes no room for: slanted text.
    """
    over = max(right_px, 0)
    chart: alt.LayerChart = alt.layer(*layers).resolve_axis(y="independent")
    return chart.properties(
        width=min(width_px + over if width_px else size.width_px, size.width_px),
        height=height_px,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        **({"padding": {side: size.font_px / 2 + over * (side == "right") for side in SIDES}} if over else {}),
    )
