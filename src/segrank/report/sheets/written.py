"""Tables as Markdown, CSV and LaTeX. Names come from files, and are text in each of them. No torch."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Sequence

import polars as pl

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes text that begins so for a formula (OWASP, CSV injection)."""
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "…": r"\dots{}",
    # after a row's \\ these would be read as its argument or its star
    "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip


def one_line(text: str) -> str:
    """No control characters, and nothing that Markdown takes for more than text."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", _printable(text))


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], text: Collection[str] = ()) -> list[str]:
    """Its lines.

    Args:
        headings: of the columns.
        rows: as long as the headings.
        text: headings of columns that begin at the left; numbers end at the right.
    """
    rule = "|".join(" --- " if heading in text else " ---: " for heading in headings)
    return [_markdown_row(headings), f"|{rule}|", *map(_markdown_row, rows)]


def csv_text(table: pl.DataFrame) -> str:
    """Numbers as computed; no cell is a formula. Lists are joined by semicolons."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_harmless, table.columns))
    for row in table.iter_rows():
        cells = ("; ".join(map(str, value)) if isinstance(value, list) else value for value in row)
        writer.writerow(_harmless(value) if isinstance(value, str) else value for value in cells)
    return text.getvalue()


def latex(text: str) -> str:
    """Text as LaTeX: nothing in it is a command."""
    return "".join(_LATEX.get(c, c) for c in _printable(text))


def latex_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    text: Collection[str] = (),
    *,
    caption: str,
    label: str,
    bold: Collection[tuple[int, int]] = (),
) -> list[str]:
    """Its lines, for the package booktabs.

    Args:
        headings, rows, text: as in `markdown_table`.
        caption: in words.
        label: to refer to it by, letters and hyphens.
        bold: (row, column) of cells.
    """
    columns = "".join("l" if heading in text else "r" for heading in headings)
    body = [
        [rf"\textbf{{{latex(cell)}}}" if (at, column) in bold else latex(cell) for column, cell in enumerate(row)]
        for at, row in enumerate(rows)
    ]
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex_row(map(latex, headings)),
        r"\midrule",
        *map(_latex_row, body),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _markdown_row(row: Sequence[str]) -> str:
    return f"| {' | '.join(map(one_line, row))} |"


def _latex_row(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
