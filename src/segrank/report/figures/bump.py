"""Ranks across settings: a line for each encoder, so that whoever changes places is seen. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import polars as pl
from scipy import stats

from segrank.ranking.settings import Setting
from segrank.report.figures.axes import (
    GAP,
    MOST_KINDS,
    Kinds,
    by_place,
    chart_of,
    fitted,
    headings,
    layered,
    letters_px,
    overhang_px,
    told,
    with_kinds,
)
from segrank.report.figures.figure import DOUBLE, Figure, Size
from segrank.report.figures.labels import labels, short

_LEADERS = 3
_WIDEST = 16
"""Between two settings, in sizes of the text."""
_SCHEMA = pl.Schema(
    {"setting": pl.String, "encoder": pl.String, "rank": pl.Int64, "score": pl.Float64, "place": pl.Int64}
    | {"at": pl.Int64, "line": pl.Int64, "kind": pl.Int64}
)


def bump(settings: Sequence[Setting], *, size: Size = DOUBLE) -> Figure | None:
    """Ranks among the encoders that all settings have, the first one on top.

    Of many encoders, the leaders of the first setting and those with the widest range of ranks have colours and shapes,
    the others are grey. Equal scores share a rank, and lie beside each other in the order of the first setting.

    Args:
        settings: from `agree` or `settings_of`, from left to right.

    Returns:
        None where fewer than two settings share two encoders.
    """
    shared = [name for name in settings[0].of.encoders if all(name in one.of.encoders for one in settings)]
    if len(settings) < 2 or len(shared) < 2:
        return None
    table = _table(settings, shared)
    moved = table.group_by("encoder", maintain_order=True).agg(
        (pl.col("rank").max() - pl.col("rank").min()).alias("moved"), pl.col("rank").first()
    ).sort("moved", "rank", descending=[True, False])  # fmt: skip
    leaders = table.filter(pl.col("at") == 0).sort("place")["encoder"].to_list()[:_LEADERS]
    coloured = list(dict.fromkeys([*leaders, *moved["encoder"]]))[:MOST_KINDS]
    table = with_kinds(table, "encoder", coloured)
    most, by = moved["encoder"][0], moved["moved"][0]
    left_out = {name for one in settings for name in one.of.encoders} - set(shared)
    return Figure(
        name="ranks-across-settings",
        title="Ranks across settings",
        chart=_chart(table, [one.name for one in settings], shared, len(coloured), size),
        alternative=(
            f"Ranks of {len(shared)} encoders under {len(settings)} settings: "
            + (f"{short(most, 60)} moves the most, by {by} places" if by else "none changes its place")
            + (f"; {len(left_out)} that not every setting has are left out" if left_out else "")
            + "."
        ),
        table=table.select("setting", "encoder", "rank", "score"),
        size=size,
    )


def _table(settings: Sequence[Setting], shared: Sequence[str]) -> pl.DataFrame:
    rows, before = [], np.arange(len(shared))
    for at, setting in enumerate(settings):
        index = [setting.of.encoders.index(name) for name in shared]
        merit, score = setting.merit[index], setting.of.value[index]
        rank = stats.rankdata(-merit, method="min").astype(int)
        place = np.lexsort((before, rank)).argsort()
        before = place if at == 0 else before
        of_encoders = zip(shared, rank.tolist(), place.tolist(), score.tolist(), strict=True)
        rows += [
            {"setting": setting.name, "at": at, "encoder": name, "line": line, "rank": r, "place": p, "score": s}
            for line, (name, r, p, s) in enumerate(of_encoders)
        ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _chart(
    table: pl.DataFrame, settings: Sequence[str], shared: Sequence[str], coloured: int, size: Size
) -> alt.LayerChart:
    name = dict(zip(shared, fitted(shared, 0.27, size), strict=True))

    def ends(at: int) -> list[str]:
        of = table.filter(pl.col("at") == at).sort("place")
        return [f"{name[encoder]}{GAP}{rank}" if not at else f"{rank}{GAP}{name[encoder]}"
                for encoder, rank in of.select("encoder", "rank").iter_rows()]  # fmt: skip

    columns = labels(settings, 28)
    beside = letters_px(max(map(len, name.values())) + 4, size)
    between = min((size.width_px - 2 * beside) / len(settings), _WIDEST * size.font_px)
    slanted = letters_px(max(map(len, columns)) + 1, size) > between
    x = alt.X("at:O", axis=headings(columns, slanted=slanted, grid=True), scale=alt.Scale(padding=0.3))
    over = overhang_px(columns, between, size) - beside if slanted else 0

    def y(at: int | None) -> alt.Y:
        axis = None if at is None else alt.Axis(
            labelExpr=by_place(ends(at)), orient="right" if at else "left", title=None, grid=False, ticks=False
        )  # fmt: skip
        return alt.Y("place:O", axis=axis)

    grey, lines = (chart_of(table.filter(pl.col("kind").is_null() == is_grey)) for is_grey in (True, False))
    kinds = Kinds.of(coloured)
    tooltip = told(table, "encoder", "setting", "rank", "score")
    layers = [
        grey.mark_line(style="background-line").encode(x=x, y=y(0), detail="line:N"),
        grey.mark_point(style="background-dot", filled=True).encode(x=x, y=y(len(settings) - 1), tooltip=tooltip),
        lines.mark_line().encode(x=x, y=y(None), color=kinds.colour, strokeDash=kinds.dash),
        lines.mark_point(filled=True).encode(x=x, y=y(None), color=kinds.colour, shape=kinds.shape, tooltip=tooltip),
    ]
    wide = 2 * beside + between * len(settings)
    return layered(layers, size, 1.7 * size.font_px * len(shared), width_px=wide, right_px=over)
