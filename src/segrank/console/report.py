"""A report of a ranking verb, on a terminal, piped, as CSV, JSON or Markdown. No torch here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace

from segrank.console.output import out
from segrank.console.tables import print_table
from segrank.progress import plain
from segrank.ranking.where import cut
from segrank.report.sheets.sheet import Report, Sheet
from segrank.report.sheets.written import csv_text, markdown_table, one_line

_WIDTH = 36
"""Of names in a terminal's table: longer ones are cut there, and nowhere else."""
_GAP = 3
"""Between two columns of a terminal's table."""


def _fitting(sheet: Sheet, width: int) -> tuple[list[str], list[list[str]], list[str]]:
    """Headings and rows that fit the terminal, as far as columns can be spared; and those that were."""
    headings, rows = sheet.filled()
    widths = [max(len(cell) for cell in column) for column in zip(headings, *rows, strict=True)]
    kept, spared = dict(zip(headings, widths, strict=True)), []
    for heading in sheet.spare:
        if sum(kept.values()) + _GAP * len(kept) <= width:
            break
        if kept.pop(heading, None):
            spared.append(heading)
    at = [index for index, heading in enumerate(headings) if heading in kept]
    return [headings[index] for index in at], [[row[index] for index in at] for row in rows], spared


def print_report(report: Report, form: str) -> None:
    """Print it as one of `FORMATS`."""
    FORMATS[form](report)


def _print_table(report: Report) -> None:
    console, terminal, spared = out(), sys.stdout.isatty(), dict[str, None]()
    console.print(plain(report.headline), style="bold", soft_wrap=True)
    for sheet in report.sheets:
        headings, rows = sheet.filled()
        if not rows:
            continue
        if terminal:
            short = replace(sheet, rows=[[cut(cell, _WIDTH) for cell in row] for row in sheet.rows])
            headings, rows, left_out = _fitting(short, console.width)
            spared |= dict.fromkeys(left_out)
        if sheet.title:
            console.print(plain(sheet.title), style="italic", soft_wrap=True)
        print_table(headings, rows, sheet.text)
    left_out = [f"No room for {', '.join(spared)}: --format csv has all columns."] if spared else []
    for line in [*report.remarks, *left_out]:
        console.print(plain(line), soft_wrap=True)


def _print_markdown(report: Report) -> None:
    lines = [one_line(report.headline)]
    for sheet in report.sheets:
        headings, rows = sheet.filled()
        if rows:
            title = [one_line(sheet.title), ""] if sheet.title else []
            lines += ["", *title, *markdown_table(headings, rows, sheet.text)]
    print("\n".join([*lines, "", *(f"- {one_line(line)}" for line in report.remarks)]))


def _print_json(report: Report) -> None:
    print(json.dumps({"answer": report.headline, "remarks": report.remarks, **report.data}, indent=1, allow_nan=False))


FORMATS: dict[str, Callable[[Report], None]] = {
    "table": _print_table,
    "csv": lambda report: print(csv_text(report.frame), end=""),
    "json": _print_json,
    "markdown": _print_markdown,
}
