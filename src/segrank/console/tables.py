"""Tables for people and for programs, printed safely: names come from files, and are text wherever they are shown."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Collection, Iterable, Sequence

import polars as pl
from rich import box
from rich.table import Table

from segrank.console.output import out
from segrank.progress import plain

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes text that begins so for a formula (OWASP, CSV injection)."""


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], text: Collection[str] = ()) -> None:
    """On a terminal with a line under the headings, piped without.

    Args:
        headings: of the columns.
        rows: as long as the headings.
        text: headings of columns that begin at the left; numbers end at the right.
    """
    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None)
    for heading in headings:
        table.add_column(plain(heading), justify="left" if heading in text else "right")
    for row in rows:
        table.add_row(*map(plain, row))
    out().print(table)


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], text: Collection[str] = ()) -> list[str]:
    """Its lines; `text` as in `print_table`."""
    rule = "|".join(" --- " if heading in text else " ---: " for heading in headings)
    return [_markdown_row(headings), f"|{rule}|", *map(_markdown_row, rows)]


def one_line(text: str) -> str:
    """No control characters, and nothing that Markdown takes for more than text."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", printable)


def print_csv(table: pl.DataFrame) -> None:
    """Numbers as computed; no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_harmless, table.columns))
    for row in table.iter_rows():
        writer.writerow(_harmless(value) if isinstance(value, str) else value for value in row)
    print(text.getvalue(), end="")


def _markdown_row(row: Sequence[str]) -> str:
    return f"| {' | '.join(map(one_line, row))} |"


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
