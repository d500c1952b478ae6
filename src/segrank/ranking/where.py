"""Which rows: FIELD=VALUE, as given to --where. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from segrank.errors import RankingError
from segrank.files import nearest

EMPTY = "(empty)"


class Condition(NamedTuple):
    """`field` has one of the `values`, or with `negated` none of them."""

    field: str
    values: tuple[str, ...]
    negated: bool = False


def parse_conditions(texts: Iterable[str]) -> list[Condition]:
    """`["seed=0", "seed=1", "encoder!=mae*"]`: a field given twice may have either value, different fields all count.

    Raises:
        RankingError: a text without `=`.
    """
    found: dict[tuple[str, bool], list[str]] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not field.strip(" !"):
            raise RankingError(f'"{text[:120]}" is no condition', wanted="FIELD=VALUE or FIELD!=VALUE")
        found.setdefault((field.removesuffix("!").strip(), field.endswith("!")), []).append(value.strip())
    return [Condition(field, tuple(values), negated) for (field, negated), values in found.items()]


def select(rows: pl.DataFrame, conditions: Sequence[Condition], *, hidden: Sequence[str] = ()) -> pl.DataFrame:
    """The rows that satisfy all conditions.

    A value is compared as it is shown (`true`, `240x320`), numbers by value, `*` stands for any text, and `(empty)`
    for a missing value.

    Args:
        rows: of `Results`.
        conditions: as `parse_conditions` gives them.
        hidden: columns not to be suggested.

    Raises:
        RankingError: there is no such field, or no row has such a value; with what there is.
    """
    for condition in conditions:
        if condition.field not in rows.columns:
            known = [name for name in rows.columns if name not in hidden and rows[name].null_count() < rows.height]
            raise RankingError(
                f'there is no field "{condition.field[:80]}"',
                wanted=f"one of {', '.join(known[:40])}{', ...' * (len(known) > 40)}",
                fix=nearest(condition.field, rows.columns),
            )
        there = distinct(rows[condition.field])
        matching = {value: [text for text in there if _matches(text, value)] for value in condition.values}
        if strange := [value for value, texts in matching.items() if not texts]:
            more = f" and {len(there) - 12} more" if len(there) > 12 else ""
            raise RankingError(
                f'no row has {condition.field}="{strange[0][:80]}"',
                wanted=f"one of {', '.join(cut(text) for text in there[:12])}{more}",
                fix=nearest(strange[0], there),
            )
    for condition in conditions:
        shown = as_shown(rows[condition.field])
        texts = [text for text in distinct(shown) if any(_matches(text, value) for value in condition.values)]
        rows = rows.filter(shown.is_in(texts) != condition.negated)
    return rows


def as_shown(column: pl.Series) -> pl.Series:
    """A column as text: `true`, `0.001`, `(empty)`."""
    if column.dtype == pl.Float64:
        column = pl.Series([None if value is None else f"{value:.12g}" for value in column.to_list()], dtype=pl.String)
    return column.cast(pl.String).fill_null(EMPTY)


def distinct(column: pl.Series) -> list[str]:
    """Its values as shown, numbers by size, text by the alphabet."""
    return sorted(as_shown(column.unique()).to_list(), key=lambda text: (_as_number(text), text))


def cut(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _matches(text: str, value: str) -> bool:
    if text == value:
        return True
    if "*" in value:
        return re.fullmatch(".*".join(map(re.escape, value.split("*"))), text, re.DOTALL) is not None
    if text in ("true", "false"):
        return text == value.lower()
    return _as_number(text) == _as_number(value) < math.inf


def _as_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf
