"""Whether orders differ by more than noise: tau beside what noise alone would leave of it. No torch."""

from __future__ import annotations

import altair as alt
import polars as pl

from segrank.ranking.agree import Agreements
from segrank.ranking.agree_words import answer
from segrank.report.figures.agreement import apart
from segrank.report.figures.axes import chart_of, fitted
from segrank.report.figures.figure import DOUBLE, Figure, Size
from segrank.report.figures.intervals import dots_with_intervals
from segrank.report.figures.labels import printable

_MOST = 40
_SCHEMA = pl.Schema(
    {"x": pl.String, "y": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    | {"noise_low": pl.Float64, "noise_high": pl.Float64, "p_same_order": pl.Float64, "look": pl.String}
)


def noise(agreements: Agreements, *, size: Size = DOUBLE) -> Figure | None:
    """For each pair of settings its tau with the interval, and as a band the taus that noise would leave if both true
    orders were the same. Filled: the orders differ by more than that, after correction. Of many pairs, those with the
    first setting.

    Returns:
        None where nothing is known of noise.
    """
    known = [pair for pair in agreements.pairs if pair.found.tau is not None and pair.found.if_same]
    if len(known) > _MOST:
        known = [pair for pair in known if pair.x is agreements.settings[0]][:_MOST]
    if not known:
        return None
    different = apart(agreements)
    rows = [
        {
            "x": pair.x.name, "y": pair.y.name, "value": pair.found.tau, "p_same_order": pair.found.same_order,
            "low": pair.found.interval.low if pair.found.interval else None,
            "high": pair.found.interval.high if pair.found.interval else None,
            "noise_low": pair.found.if_same.low if pair.found.if_same else None,
            "noise_high": pair.found.if_same.high if pair.found.if_same else None,
            "look": "lead" if different.get(id(pair)) else "rest",
        }
        for pair in known
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema=_SCHEMA).sort("value", maintain_order=True).with_row_index("at")
    names = fitted([f"{x} – {y}" for x, y in table.select("x", "y").iter_rows()], 0.45, size)
    band = chart_of(table).mark_bar(style="band", height=size.font_px)
    band = band.encode(x="noise_low:Q", x2="noise_high:Q", y=alt.Y("at:O", axis=None))
    return Figure(
        name="noise",
        title="Is it noise? tau of each pair, and as a band what noise alone would leave of one order",
        chart=dots_with_intervals(
            table,
            names,
            "Kendall's tau",
            size,
            tooltip=("x", "y", "value", "low", "high", "noise_low", "noise_high", "p_same_order"),
            below=[band],
        ),
        alternative=printable(answer(agreements)),
        table=table.drop("at", "look").rename({"value": "tau"}),
        size=size,
    )
