"""Tables for people, printed safely: names come from files, and are text wherever they are shown."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence

from rich import box
from rich.table import Table

from segrank.console.output import out
from segrank.progress import plain


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
