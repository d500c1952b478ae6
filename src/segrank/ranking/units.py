"""What effects are looked for among: families of encoders, each with its scores in every setting and its facts.

Encoders of one family (DINOv2 in three sizes) are no independent evidence on how they were pretrained, so they count
once, with their mean. Random weights were not pretrained, and do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.families import card_for
from segrank.ranking.settings import Setting
from segrank.ranking.where import as_shown

FloatArray = NDArray[np.float64]
_AT = "setting of a row"


@dataclass(frozen=True, eq=False)
class Units:
    """Families that every setting has. Arrays are (settings, families)."""

    names: tuple[str, ...]
    scores: FloatArray
    ranks: FloatArray
    """Among these families, 1 the best; equal scores share the mean of their places."""
    members: tuple[tuple[str, ...], ...]
    """Per family the encoders whose mean it is, by their names in the settings."""
    runs: tuple[tuple[str, ...], ...]
    """Per family."""
    facts: Mapping[str, tuple[str | None, ...]]
    """Column -> per family its value as text; None where it is not known, or differs within the family."""
    numbers: Mapping[str, tuple[float | None, ...]]
    """Column -> per family its value, of several encoders the mean; None where it is not known of one."""
    missing: tuple[str, ...]
    """Encoders that some setting has not."""
    random: tuple[str, ...]
    """Encoders with random weights."""

    def by_name(self, values: FloatArray) -> dict[str, float]:
        """Family -> value, of (families,)."""
        return dict(zip(self.names, values.tolist(), strict=True))


def units_of(settings: Sequence[Setting], text: Sequence[str], numbers: Sequence[str]) -> Units:
    """The families of some settings.

    Args:
        settings: with encoders by the names that they have in all of them.
        text: columns to know of each family, as text.
        numbers: columns to know of it, as numbers.
    """
    table = _table(settings, text, numbers)
    random = sorted(table.filter(pl.col("card_objective") == "none")["label"].unique().to_list())
    table = table.filter(~pl.col("label").is_in(random))
    there = table.group_by("label").agg(pl.len().alias("settings"))
    everywhere = there.filter(pl.col("settings") == len(settings))["label"].to_list()
    missing = table.filter(~pl.col("label").is_in(everywhere))["label"].unique().sort().to_list()
    table = table.filter(pl.col("label").is_in(everywhere)).sort("family", "label", _AT)
    families = table.partition_by("family", maintain_order=True)
    names = tuple(family["family"][0] for family in families)
    means = [family.group_by(_AT).agg(pl.col("value").mean()).sort(_AT)["value"].to_list() for family in families]
    scores = np.array(means, np.float64).reshape(len(names), len(settings)).T
    sign = 1 if settings[0].of.higher_is_better else -1
    return Units(
        names=names,
        scores=scores,
        ranks=stats.rankdata(-sign * scores, axis=1) if names else scores,
        members=tuple(tuple(dict.fromkeys(family["label"])) for family in families),
        runs=tuple(tuple(dict.fromkeys(run for runs in family["runs"] for run in runs)) for family in families),
        facts={name: tuple(_agreed(family[name]) for family in families) for name in text},
        numbers={name: tuple(_mean(family[name]) for family in families) for name in numbers},
        missing=tuple(missing),
        random=tuple(random),
    )


def _table(settings: Sequence[Setting], text: Sequence[str], numbers: Sequence[str]) -> pl.DataFrame:
    """A row for each setting and encoder: family, label, value, runs, and the columns asked for."""
    parts = []
    for at, setting in enumerate(settings):
        first = setting.rows.unique("label", keep="first", maintain_order=True).sort("label")
        values = dict(zip(setting.of.encoders, setting.of.value.tolist(), strict=True))
        runs = dict(zip(setting.cell.encoders, setting.cell.runs, strict=True))
        parts.append(
            first.select(
                "label",
                pl.lit(at).alias(_AT),
                pl.Series("family", [setting.families[label] for label in first["label"]], pl.String),
                pl.Series("value", [values[label] for label in first["label"]], pl.Float64),
                pl.Series("runs", [list(runs[label]) for label in first["label"]], pl.List(pl.String)),
                *(pl.Series(name, _facts(first, name), pl.String) for name in sorted({*text, "card_objective"})),
                *(pl.Series(name, map(_number, _facts(first, name)), pl.Float64) for name in numbers),
            )
        )
    return pl.concat(parts)


def _facts(rows: pl.DataFrame, column: str) -> list[str | None]:
    """A column as text: the table's own, or where it has none, as the cards say that its encoders have by name."""
    if column in rows.columns and rows[column].null_count() < rows.height:
        shown = as_shown(rows[column])
        return [None if missing else text for text, missing in zip(shown, rows[column].is_null(), strict=True)]
    cards = [card_for(encoder) for encoder in rows["encoder_id"]]
    return [_as_text(card.to_data().get(column.removeprefix("card_"))) if card else None for card in cards]


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and np.isfinite(number) else None


def _agreed(column: pl.Series) -> str | None:
    values = column.unique().to_list()
    return values[0] if len(values) == 1 else None


def _mean(column: pl.Series) -> float | None:
    return None if column.null_count() else float(np.mean(column.to_numpy()))
