"""What a page is made of: sections of words, figures and tables. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segrank.report.figures.figure import Figure
from segrank.report.sheets.sheet import Sheet


@dataclass(frozen=True)
class Table:
    """A sheet on a page, whose rows lead to their runs."""

    name: str
    """Its id, unlike all others on the page."""
    sheet: Sheet
    runs: Sequence[Sequence[str]] = ()
    """For each row the runs behind it."""
    searched: bool = False
    """It is long enough to be searched."""


@dataclass(frozen=True)
class Choice:
    """One of several that take the same place: what there is under one setting."""

    title: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


def choices_of(figures: Sequence[Figure]) -> list[Choice]:
    """One after another where there are several, such as one for each setting."""
    return [Choice(figure.title, [figure]) for figure in figures] if len(figures) > 1 else []


@dataclass(frozen=True)
class Item:
    """Something that was found, in words."""

    title: str
    badge: str
    texts: Sequence[str]
    runs: Sequence[str] = ()
    alarm: bool = False


@dataclass(frozen=True)
class Code:
    """Text to be copied."""

    title: str
    text: str


@dataclass(frozen=True)
class Section:
    name: str
    """Its id, and where a link leads."""
    title: str
    lead: str
    """What there is to see, in a sentence or a few."""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    choices: Sequence[Choice] = ()
    items: Sequence[Item] = ()
    remarks: Sequence[str] = ()
    """What a reader has to know besides."""
    codes: Sequence[Code] = ()
    widget: str = ""
    """The part of it that scripts make, by its name, of `data`."""
    data: Mapping[str, Any] | None = None
