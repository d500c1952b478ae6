"""A table of text, and all that a verb on results says. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Sheet:
    """A table of text, as people read it. Columns without any value are not shown."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: frozenset[str] = field(default_factory=frozenset)
    """Headings of columns of text: they stand left, numbers right."""
    spare: Sequence[str] = ()
    """Headings of columns that a narrow terminal does without, the first ones first."""

    def filled(self) -> tuple[list[str], list[list[str]]]:
        at = [index for index in range(len(self.headings)) if any(row[index] for row in self.rows)]
        return [self.headings[index] for index in at], [[row[index] for index in at] for row in self.rows]


@dataclass(frozen=True, eq=False)
class Report:
    headline: str
    sheets: Sequence[Sheet]
    remarks: Sequence[str]
    frame: pl.DataFrame
    """Numbers as computed, for CSV."""
    data: Mapping[str, Any]
    """All that is known, for JSON."""
