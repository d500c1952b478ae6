"""Kendall's tau between every two settings, with its interval. No torch."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from segrank.ranking.agree import Agreements, Pair
from segrank.ranking.agree_words import answer
from segrank.ranking.ranks import holm
from segrank.report.figures.axes import by_place, chart_of, fitted, headings, layered, letters_px, overhang_px, told
from segrank.report.figures.figure import DOUBLE, Figure, Size
from segrank.report.figures.labels import printable

_SCHEMA = pl.Schema(
    {"x": pl.String, "y": pl.String, "column": pl.Int64, "row": pl.Int64, "tau": pl.Float64, "low": pl.Float64}
    | {"high": pl.Float64, "encoders": pl.Int64, "differ": pl.Boolean, "text": pl.String, "look": pl.String}
)
_WIDEST = 9
"""Cell, in sizes of its text."""
_STRONG = 0.75
"""Of |tau|: from there on the colour is dark on light ground, or light on dark."""


def agreement(agreements: Agreements, *, size: Size = DOUBLE) -> Figure | None:
    """Below the diagonal tau, by colour and number, with a star where the orders differ by more than noise explains;
    above it the interval of the same pair: of the true orders' tau, or where that is not known, over encoders.

    On the diagonal, where it is known, the tau to expect of a setting with its own repetition.

    Returns:
        None where there is no tau.
    """
    table = _table(agreements)
    known = table.filter(pl.col("row") > pl.col("column"))
    if known["tau"].null_count() == known.height:
        return None
    return Figure(
        name="agreement",
        title="Agreement of settings: Kendall's tau",
        chart=_chart(table, [one.name for one in agreements.settings], size),
        alternative=printable(answer(agreements)),
        table=known.select("x", "y", "encoders", "tau", "low", "high", "differ"),
        size=size,
    )


def _table(agreements: Agreements) -> pl.DataFrame:
    place = {id(setting): at for at, setting in enumerate(agreements.settings)}
    different = apart(agreements)
    repeated: dict[int, float] = {}
    rows: list[dict[str, Any]] = []
    for pair in agreements.pairs:
        found = pair.found
        a, b = place[id(pair.x)], place[id(pair.y)]
        interval = found.interval or found.interval_encoders
        for at, ceiling in ((a, found.ceiling_x), (b, found.ceiling_y)):
            if ceiling:
                repeated.setdefault(at, ceiling.expected)
        both = {
            "x": pair.x.name,
            "y": pair.y.name,
            "tau": found.tau,
            "low": interval.low if interval else None,
            "high": interval.high if interval else None,
            "encoders": len(found.encoders),
            "differ": different.get(id(pair)),
        }
        tau = "–" if found.tau is None else f"{found.tau:.2f}{'*' * bool(both['differ'])}"
        look = "none" if found.tau is None else "strong" if abs(found.tau) >= _STRONG else "weak"
        rows.append({**both, "column": a, "row": b, "text": tau, "look": look})
        if interval:
            ends = f"{interval.low:.2f} to {interval.high:.2f}"
            rows.append({**both, "column": b, "row": a, "text": ends, "look": "interval"})
    for at, expected in repeated.items():
        name = agreements.settings[at].name
        rows.append(
            {"x": name, "y": name, "column": at, "row": at, "tau": expected, "text": f"{expected:.2f}", "look": "own"}
        )
    return pl.DataFrame(rows, schema=_SCHEMA)


def apart(agreements: Agreements) -> dict[int, bool]:
    """Pair -> whether noise does not explain how its orders differ, corrected for the number of pairs."""
    judged = [(pair, pair.found.same_order) for pair in agreements.pairs]
    known: list[tuple[Pair, float]] = [(pair, p) for pair, p in judged if p is not None]
    adjusted = holm(np.array([p for _, p in known], np.float64)).tolist()
    return {id(pair): p <= 1 - agreements.options.level for (pair, _), p in zip(known, adjusted, strict=True)}


def _chart(table: pl.DataFrame, settings: list[str], size: Size) -> alt.LayerChart:
    names = fitted(settings, 0.25, size)
    beside = letters_px(max(map(len, names)), size)
    cell = min((size.width_px - beside) / len(settings), _WIDEST * size.font_px)
    every = alt.Scale(domain=list(range(len(settings))))
    x = alt.X("column:O", axis=headings(names, slanted=True), scale=every)
    left = alt.Y("row:O", axis=alt.Axis(labelExpr=by_place(names), title=None, ticks=False), scale=every)
    y = alt.Y("row:O", axis=None, scale=every)
    colour = alt.Color("tau:Q", scale=alt.Scale(domain=[-1, 1], domainMid=0), legend=None)
    tooltip = told(table, "x", "y", "tau", "low", "high", "encoders")

    def looks(*which: str) -> alt.Chart:
        return chart_of(table.filter(pl.col("look").is_in(which)))

    layers = [
        looks("strong", "weak").mark_rect(style="cell").encode(x=x, y=left, color=colour, tooltip=tooltip),
        looks("interval", "none", "own").mark_rect(style="empty-cell").encode(x=x, y=y, tooltip=tooltip),
    ]
    layers += [looks(look).mark_text(**how).encode(x=x, y=y, text="text:N") for look, how in _texts(cell, size).items()]
    over = overhang_px(names, cell, size)
    height = max(min(cell, 2.4 * size.font_px), size.font_px)
    return layered(layers, size, height * len(settings), width_px=beside + cell * len(settings), right_px=over)


def _texts(cell_px: float, size: Size) -> dict[str, dict[str, Any]]:
    """Look -> how its text is written. Where there is little room it is small; where there is less, intervals stay
    away: the table has them."""
    font = size.font_px * min(max(cell_px / letters_px(len(".12*"), size), 0.6), 1)
    taus: dict[str, dict[str, Any]] = {
        "weak": {"style": "on-weak", "fontSize": font},
        "strong": {"style": "on-strong", "fontSize": font},
        "none": {"fontSize": font},
        "own": {"fontStyle": "italic", "fontSize": font},
    }
    if cell_px >= letters_px(len("0.12 to 0.34"), size):
        return taus | {"interval": {"fontSize": 0.85 * font}}
    if cell_px >= 0.85 * letters_px(len("0.12"), size):
        return taus | {"interval": {"fontSize": 0.85 * font, "lineBreak": " to ", "dy": -0.45 * font}}
    return taus
