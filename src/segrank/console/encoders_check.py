"""How the report on an encoder's wiring looks on a terminal. Piped, plain text. No torch here."""

from __future__ import annotations

import sys
import textwrap

from rich.table import Table

from segrank.console.output import out
from segrank.encoders.checks.report import EncoderReport, Finding, Status
from segrank.progress import plain

MARKS: dict[Status, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "wrong": ("✗", "bold red"),
    "unsure": ("?", "yellow"),
    "skipped": ("-", "dim"),
}


def print_encoder_report(report: EncoderReport) -> None:
    """A line for each test with its mark and the evidence; below a fault, what it probably is and what to do."""
    console = out()
    size = f"{report.crop[0]}x{report.crop[1]}, patch {report.patch_size}"
    console.print(plain(f"{report.reference} at {size}, weights {report.weights}, on {report.device}"))
    if sys.stdout.isatty():
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for name in ("mark", "name", "evidence"):
            table.add_column(name, overflow="fold")
        for finding in report.findings:
            mark, colour = MARKS[finding.status]
            text = plain(finding.evidence) + (f"\n[bold]do this:[/] {plain(finding.advice)}" if finding.advice else "")
            table.add_row(f"[{colour}]{mark}[/]", f"[{colour}]{finding.name}[/]", text)
        console.print(table)
    else:
        for finding in report.findings:
            for line in _lines(finding):
                console.print(plain(line), soft_wrap=True)
    console.print(plain(_verdict(report)))


def _lines(finding: Finding) -> list[str]:
    head = f"{MARKS[finding.status][0]} {finding.name:<15} {finding.evidence}"
    return [
        head,
        *textwrap.wrap(f"do this: {finding.advice}", 110, initial_indent=" " * 18, subsequent_indent=" " * 18),
    ][: None if finding.advice else 1]


def _verdict(report: EncoderReport) -> str:
    """`2 of 15 wrong: batch, gradient; 1 unsure: keys loaded`."""
    parts = []
    others: tuple[Status, ...] = ("wrong", "unsure", "skipped")
    for status in others:
        if found := report.with_status(status):
            parts.append(f"{len(found)} {status} ({', '.join(finding.name for finding in found)})")
    good = len(report.with_status("ok"))
    return f"{good} of {len(report.findings)} ok" + (f"; {'; '.join(parts)}" if parts else "")
