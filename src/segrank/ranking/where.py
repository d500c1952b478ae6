"""Which rows: FIELD=VALUE and FIELD<NUMBER, as given to --where. No torch."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import polars as pl

from segrank.errors import RankingError
from segrank.files import nearest

EMPTY = "(empty)"
_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_CONDITION = re.compile(r"([^=<>]*?)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL)


class Condition(NamedTuple):
    """`field` has one of the `values`, or with `negated` none of them."""

    field: str
    values: tuple[str, ...]
    negated: bool = False
    order: str = ""
    """`<`, `<=`, `>` or `>=`: instead, the field is so beside each of the values, which are numbers."""


def parse_conditions(texts: Iterable[str]) -> list[Condition]:
    """`["seed=0", "seed=1", "encoder!=mae*", "memory_gib<=8"]`.

    A field given twice with `=` may have either value, different fields all count, and so do bounds.

    Raises:
        RankingError: a text without a comparison, or a bound that is no number.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for text in texts:
        match = _CONDITION.fullmatch(text)
        if match is None or not match[1].strip(" !"):
            raise RankingError(
                f'"{text[:120]}" is no condition', wanted="FIELD=VALUE, FIELD!=VALUE or FIELD<NUMBER (also <=, >, >=)"
            )
        field, sign, value = match[1].strip(), match[2], match[3].strip()
        if sign in _ORDERS and not math.isfinite(_as_number(value)):
            raise RankingError(f'"{text[:120]}" compares with "{value[:80]}"', wanted="a number after < or >")
        found.setdefault((field, sign), []).append(value)
    return [
        Condition(field, tuple(values), sign == "!=", sign if sign in _ORDERS else "")
        for (field, sign), values in found.items()
    ]


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
        if condition.order:
            _check_bounds(condition, there)
            continue
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
        texts = [text for text in distinct(shown) if _satisfies(text, condition)]
        rows = rows.filter(shown.is_in(texts) != condition.negated)
    return rows


def _check_bounds(condition: Condition, there: Sequence[str]) -> None:
    numbers = [number for text in there if math.isfinite(number := _as_number(text))]
    if not any(_satisfies(text, condition) for text in there):
        bounds = ", ".join(f"{condition.field}{condition.order}{value}" for value in condition.values)
        raise RankingError(
            f"no row has {bounds}",
            wanted=f"between {min(numbers):.6g} and {max(numbers):.6g}" if numbers else "a column of numbers",
        )


def _satisfies(text: str, condition: Condition) -> bool:
    """Whether a value has one of the condition's values, or keeps all of its bounds."""
    if not condition.order:
        return any(_matches(text, value) for value in condition.values)
    number, holds = _as_number(text), _ORDERS[condition.order]
    return math.isfinite(number) and all(holds(number, _as_number(value)) for value in condition.values)


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
