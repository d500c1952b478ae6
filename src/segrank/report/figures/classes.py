"""IoU of single classes: of all encoders, and of one against another. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from segrank.ranking.compare import Compared
from segrank.ranking.standard_errors import LEVEL
from segrank.report.figures.axes import (
    MOST_KINDS,
    Kinds,
    by_place,
    chart_of,
    fitted,
    layered,
    letters_px,
    quantity,
    told,
    with_kinds,
)
from segrank.report.figures.figure import DOUBLE, Figure, Size
from segrank.report.figures.intervals import Beside, dots_with_intervals
from segrank.report.figures.labels import short

_MOST_CLASSES = 40
_DIFFERENCE = pl.Schema(
    {"class": pl.String, "a": pl.Float64, "b": pl.Float64, "difference": pl.Float64, "low": pl.Float64}
    | {"high": pl.Float64, "p_holm": pl.Float64, "images": pl.Int64}
)


def class_iou(table: pl.DataFrame, encoders: Sequence[str], *, size: Size = DOUBLE) -> Figure | None:
    """A row for each class, a dot for each encoder; the first encoders have colours and shapes.

    Of many classes, those in which the encoders lie furthest apart.

    Args:
        table: with `class`, `encoder` and `iou`, 0 to 1; missing where a class has no labelled pixels.
        encoders: from the first of the ranking to the last.
        size: of the chart.

    Returns:
        None where there is no IoU.
    """
    known = table.filter(pl.col("iou").is_not_null(), pl.col("encoder").is_in(list(encoders)))
    if known.is_empty():
        return None
    spans = known.group_by("class", maintain_order=True).agg(
        (pl.col("iou").max() - pl.col("iou").min()).alias("span"), pl.col("iou").mean().alias("mean")
    )
    shown = spans.sort("span", descending=True, maintain_order=True)[:_MOST_CLASSES].sort("mean", descending=True)
    widest = spans.sort("span", descending=True, maintain_order=True).row(0, named=True)
    return Figure(
        name="class-iou",
        title="IoU of each class",
        chart=_dots(known, shown["class"].to_list(), list(encoders), size),
        alternative=(
            f"IoU of {spans.height} classes and {known['encoder'].n_unique()} encoders: they lie furthest apart in "
            f"{short(widest['class'], 60)}, by {100 * widest['span']:.1f} points"
            f"{f'; the {len(shown)} classes with the widest span are drawn' if len(shown) < spans.height else ''}."
        ),
        table=table.filter(pl.col("class").is_in(shown["class"].implode())),
        size=size,
    )


def _dots(table: pl.DataFrame, classes: list[str], encoders: list[str], size: Size) -> alt.LayerChart:
    at = {name: number for number, name in enumerate(classes)}
    table = with_kinds(table.filter(pl.col("class").is_in(classes)), "encoder", encoders).with_columns(
        pl.col("class").replace_strict(at, return_dtype=pl.Int64).alias("at"), pl.col("iou") * 100
    )
    left = alt.Axis(title=None, labelExpr=by_place(fitted(classes, 0.35, size)), ticks=False, grid=True, translate=0)
    x = alt.X("iou:Q", axis=quantity("IoU (%)"), scale=alt.Scale(domain=[0, 100]))
    names = fitted(encoders[:MOST_KINDS], 0.3, size)
    columns = max(1, int(0.6 * size.width_px / letters_px(max(map(len, names)) + 5, size)))
    kinds = Kinds.of(len(encoders), alt.Legend(title=None, labelExpr=by_place(names), columns=columns))
    tooltip = told(table, "class", "encoder", "iou")
    grey, coloured = (chart_of(table.filter(pl.col("kind").is_null() == is_grey)) for is_grey in (True, False))
    ticks = grey.mark_tick(style="background-tick", height=0.8 * size.font_px)
    dots = coloured.mark_point(filled=True)
    layers = [
        ticks.encode(x=x, y=alt.Y("at:O", axis=left), tooltip=tooltip),
        dots.encode(x=x, y=alt.Y("at:O", axis=None), color=kinds.colour, shape=kinds.shape, tooltip=tooltip),
    ]
    return layered(layers, size, 1.6 * size.font_px * len(classes))


def class_differences(part: Compared, *, size: Size = DOUBLE) -> Figure | None:
    """The difference of two encoders in each class with its interval, from the largest lead of one to the other's.

    Filled: told apart, after correction for looking at all classes. Of many classes, those furthest from 0.

    Returns:
        None where there are no counts per image.
    """
    rows = [
        {
            "class": one.name, "a": one.a, "b": one.b, "difference": one.value,
            "low": one.interval[0] if one.interval else None, "high": one.interval[1] if one.interval else None,
            "p_holm": one.p_holm, "images": one.images,
        }
        for one in part.classes
    ]  # fmt: skip
    if not rows:
        return None
    table = pl.DataFrame(rows, schema=_DIFFERENCE).sort("difference", descending=True)
    shown = table.sort(pl.col("difference").abs(), descending=True, maintain_order=True)[:_MOST_CLASSES]
    shown = shown.sort("difference", descending=True).with_row_index("at").rename({"difference": "value"})
    told_apart = pl.col("p_holm").is_not_null() & (pl.col("p_holm") <= 1 - LEVEL)
    shown = shown.with_columns(pl.when(told_apart).then(pl.lit("lead")).otherwise(pl.lit("rest")).alias("look"))
    a, b = (short(side.encoder, 30) for side in (part.a, part.b))
    scaled = shown.with_columns(pl.col("value", "low", "high") * 100)
    apart = table.filter(told_apart).height
    return Figure(
        name="class-differences",
        title=f"{a} against {b}, class by class",
        chart=dots_with_intervals(
            scaled,
            fitted(shown["class"].to_list(), 0.35, size),
            f"IoU of {a} - IoU of {b} (points)",
            size,
            tooltip=("class", "a", "b", "value", "low", "high", "p_holm", "images"),
            beside=[Beside("images", [f"{count:,}" for count in shown["images"]], 8)],
            zero=True,
        ),
        alternative=f"IoU of {a} and {b} is told apart in {apart} of {table.height} classes.",
        table=table,
        size=size,
    )
