"""Conditions with bounds; those with values are tested with what they choose from."""

from __future__ import annotations

import polars as pl
import pytest

from segrank.errors import RankingError
from segrank.ranking.where import parse_conditions, select

ROWS = pl.DataFrame(
    {"name": ["a", "b", "c", "d"], "memory_gib": [2.0, 8.0, 24.0, None], "bits": ["8", "16", "32", "many"]}
)


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        (["memory_gib<=8"], "ab"),
        (["memory_gib<8"], "a"),
        (["memory_gib > 2", "memory_gib>=8"], "bc"),
        (["memory_gib>1", "memory_gib>5"], "bc"),
        (["bits>=16"], "bc"),  # numbers in a column of text
        (["name!=a", "memory_gib<20"], "b"),
    ],
)
def test_bounds(conditions: list[str], names: str) -> None:
    assert select(ROWS, parse_conditions(conditions))["name"].to_list() == list(names)


def test_a_value_may_hold_signs() -> None:
    assert [tuple(each) for each in parse_conditions(["name=a<b", "x!=c=d"])] == [
        ("name", ("a<b",), False, ""), ("x", ("c=d",), True, ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("memory_gib<much", "a number after"),
        ("<3", "is no condition"),
        ("memory_gib>99", "between 2 and 24"),
        ("name>1", "a column of numbers"),
    ],
)
def test_bounds_that_cannot_be_kept(condition: str, message: str) -> None:
    with pytest.raises(RankingError, match=message):
        select(ROWS, parse_conditions([condition]))
