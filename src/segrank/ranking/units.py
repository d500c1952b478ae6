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

from segrank.cards import CARDS, Card, card_of
from segrank.ranking.estimated import Estimated
from segrank.ranking.ranks import merit
from segrank.ranking.results import across_settings
from segrank.ranking.where import as_shown

FloatArray = NDArray[np.float64]
_BLOCK = "block of an encoder"


@dataclass(frozen=True, eq=False)
class Units:
    """Families that every block has. Arrays are (blocks, families)."""

    names: tuple[str, ...]
    scores: FloatArray
    ranks: FloatArray
    """Among these families, 1 the best; equal scores share the mean of their places."""
    labels: tuple[tuple[tuple[str, ...], ...], ...]
    """Per block and family the encoders whose mean it is."""
    runs: tuple[tuple[str, ...], ...]
    """Per family."""
    facts: Mapping[str, tuple[str | None, ...]]
    """Column -> per family its value as text; None where it is not known, or differs within the family."""
    numbers: Mapping[str, tuple[float | None, ...]]
    """Column -> per family its value, of several encoders the mean; None where it is not known of one."""
    missing: tuple[str, ...]
    """Encoders that some block has not."""
    random: tuple[str, ...]
    """Encoders with random weights."""

    def means(self, values: FloatArray) -> dict[str, float]:
        """Family -> mean over the blocks."""
        return dict(zip(self.names, values.mean(axis=0).tolist(), strict=True))


def units_of(blocks: Sequence[Estimated], text: Sequence[str], numbers: Sequence[str]) -> Units:
    """The families of some blocks.

    Args:
        blocks: settings; encoders are matched between them as `across_settings` says.
        text: columns to know of each family, as text.
        numbers: columns to know of it, as numbers.
    """
    table = _table(blocks, text, numbers)
    random = sorted(table.filter(pl.col("card_objective") == "none")["label"].unique().to_list())
    table = table.filter(~pl.col("label").is_in(random))
    here = table.group_by("across").agg(pl.col(_BLOCK).n_unique().alias("blocks"))
    everywhere = here.filter(pl.col("blocks") == len(blocks))["across"].to_list()
    missing = table.filter(~pl.col("across").is_in(everywhere))["label"].unique().sort().to_list()
    table = table.filter(pl.col("across").is_in(everywhere)).sort("family", "across", _BLOCK)
    families = table.partition_by("family", maintain_order=True)
    names = tuple(family["family"][0] for family in families)
    scores = np.array([_by_block(family, len(blocks)) for family in families]).reshape(len(names), len(blocks)).T
    sign = 1 if blocks[0].of.higher_is_better else -1
    return Units(
        names=names,
        scores=scores,
        ranks=stats.rankdata(-sign * scores, axis=1),
        labels=tuple(
            tuple(tuple(family.filter(pl.col(_BLOCK) == at)["label"].to_list()) for family in families)
            for at in range(len(blocks))
        ),
        runs=tuple(tuple(dict.fromkeys(run for runs in family["runs"] for run in runs)) for family in families),
        facts={name: tuple(_agreed(family[name]) for family in families) for name in text},
        numbers={name: tuple(_mean(family[name]) for family in families) for name in numbers},
        missing=tuple(missing),
        random=tuple(random),
    )


def card_for(label: str) -> Card | None:
    """The card of an encoder that a table calls by a card's name, by timm's name, or by a reference."""
    return CARDS.get(label) or card_of(label) or card_of(f"timm:{label}")


def _table(blocks: Sequence[Estimated], text: Sequence[str], numbers: Sequence[str]) -> pl.DataFrame:
    """A row for each block and encoder: across, family, label, value, runs, and the columns asked for."""
    parts = []
    for at, block in enumerate(blocks):
        first = block.rows.unique("label", keep="first", maintain_order=True).sort("label")
        values = dict(zip(block.of.encoders, block.of.value.tolist(), strict=True))
        runs = dict(zip(block.cell.encoders, block.cell.runs, strict=True))
        parts.append(
            first.select(
                "label",
                "encoder_id",
                pl.lit(at).alias(_BLOCK),
                pl.Series("family", _facts(first, "card_family", "family"), pl.String),
                pl.Series("value", [values[label] for label in first["label"]], pl.Float64),
                pl.Series("runs", [list(runs[label]) for label in first["label"]], pl.List(pl.String)),
                *(pl.Series(name, _facts(first, name), pl.String) for name in {*text, "card_objective"}),
                *(pl.Series(name, map(_number, _facts(first, name)), pl.Float64) for name in numbers),
            )
        )
    return across_settings(pl.concat(parts), [_BLOCK])


def _facts(rows: pl.DataFrame, column: str, otherwise: str = "") -> list[str | None]:
    """A column's values as text: the table's own, else those of the cards that its encoders have by name."""
    there = next((name for name in (column, otherwise) if name in rows.columns), None)
    own = as_shown(rows[there]).to_list() if there else [None] * rows.height
    own = [None if there and value is None else text for value, text in zip(_values(rows, there), own, strict=True)]
    if column in rows.columns and rows[column].null_count() < rows.height:
        return own
    cards = [card_for(label) for label in rows["label"]]
    name = column.removeprefix("card_")
    return [
        _as_text(card.to_data().get(name)) if card and card.to_data().get(name) is not None else value
        for card, value in zip(cards, own, strict=True)
    ]


def _values(rows: pl.DataFrame, column: str | None) -> list[Any]:
    return rows[column].to_list() if column else [None] * rows.height


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and np.isfinite(number) else None


def _by_block(family: pl.DataFrame, blocks: int) -> list[float]:
    return [float(np.mean(family.filter(pl.col(_BLOCK) == at)["value"].to_numpy())) for at in range(blocks)]


def _agreed(column: pl.Series) -> str | None:
    values = column.unique().to_list()
    return values[0] if len(values) == 1 else None


def _mean(column: pl.Series) -> float | None:
    return None if column.null_count() else float(np.mean(column.to_numpy()))
