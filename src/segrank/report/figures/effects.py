"""Effects of pretraining, of settings and of steps from one encoder to another. No torch."""

from __future__ import annotations

import polars as pl

from segrank.ranking.effects import Effects
from segrank.ranking.effects_words import effects_answer
from segrank.report.figures.axes import fitted
from segrank.report.figures.figure import DOUBLE, Figure, Size
from segrank.report.figures.intervals import Beside, dots_with_intervals
from segrank.report.figures.labels import printable
from segrank.report.figures.units import unit_of

_MOST = 40
"""Rows: of more, those that are shown and those that are largest."""
_SCHEMA = pl.Schema(
    {"effect": pl.String, "contrast": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    | {"p_holm": pl.Float64, "families": pl.Int64, "verdict": pl.String}
)


def effects(found: Effects, *, size: Size = DOUBLE) -> Figure | None:
    """Differences between groups of encoders and between settings, with their intervals.

    Filled: shown, after correction. Empty: not told from chance. A cross: so few encoders that nothing could be shown.

    Returns:
        None where nothing was tested.
    """
    rows = [
        {
            "effect": effect.name, "contrast": contrast.name, "value": contrast.value,
            "low": contrast.interval[0] if contrast.interval else None,
            "high": contrast.interval[1] if contrast.interval else None,
            "p_holm": effect.adjusted, "families": effect.encoders, "verdict": effect.verdict,
        }
        for effect in found.effects
        if effect.response == "score" and effect.kind != "interaction"
        for contrast in effect.contrasts
    ]  # fmt: skip
    looks = {"shown": "lead", "not shown": "rest", "cannot be shown": "out"}
    return _figure("effects", "Effects on", pl.DataFrame(rows, schema=_SCHEMA), found, looks, size)


def steps(found: Effects, *, size: Size = DOUBLE) -> Figure | None:
    """An encoder against the one it came from, under each setting. Filled: told apart, after correction.

    Returns:
        None where no encoder comes from another one that is there.
    """
    rows = [
        {
            "effect": step.lineage.changed,
            "contrast": f"{step.lineage.child} - {step.lineage.parent}{f' ({step.setting})' * bool(step.setting)}",
            "value": step.value,
            "low": step.interval[0] if step.interval else None,
            "high": step.interval[1] if step.interval else None,
            "p_holm": step.adjusted,
            "verdict": step.verdict,
        }
        for step in found.steps
    ]
    looks = {"helped": "lead", "hurt": "lead", "not told": "rest", "unknown": "out"}
    return _figure(
        "steps",
        "Steps of pretraining, and what they changed in",
        pl.DataFrame(rows, schema=_SCHEMA),
        found,
        looks,
        size,
    )


def _figure(
    name: str, title: str, table: pl.DataFrame, found: Effects, looks: dict[str, str], size: Size
) -> Figure | None:
    if table.is_empty():
        return None
    unit = unit_of(found.metric)
    shown = table.with_columns(pl.col("verdict").replace_strict(looks).alias("look"))
    shown = shown.sort(pl.col("look") == "lead", pl.col("value").abs(), descending=True)[:_MOST].with_row_index("at")
    told = shown.select("effect", "contrast").iter_rows()
    names = [f"{effect}: {contrast}" if name == "effects" else contrast for effect, contrast in told]
    return Figure(
        name=name,
        title=f"{title} {unit.name}",
        chart=dots_with_intervals(
            unit.applied(shown, "value", "low", "high"),
            fitted(names, 0.5, size),
            f"difference in {unit.title}",
            size,
            tooltip=("effect", "contrast", "value", "low", "high", "p_holm", "verdict"),
            beside=[Beside("", shown["verdict"].to_list(), 15)],
            zero=True,
        ),
        alternative=printable(effects_answer(found)),
        table=table,
        size=size,
    )
