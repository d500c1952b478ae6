"""What `segrank diagnose` found, in words. No torch here."""

from __future__ import annotations

from dataclasses import asdict

import polars as pl

from segrank.console.report import Report, Sheet
from segrank.ranking.diagnostics import Diagnosis, as_data
from segrank.ranking.finding import Finding
from segrank.ranking.phrases import sentence

_MOST_RUNS = 6


def report(diagnosis: Diagnosis) -> Report:
    rows = [[str(number), one.verdict, one.name] for number, one in enumerate(diagnosis.findings, start=1)]
    texts = [_text(number, one) for number, one in enumerate(diagnosis.findings, start=1)]
    return Report(
        headline=answer(diagnosis),
        sheets=[Sheet("", ["", "verdict", "looked for"], rows, frozenset({"verdict", "looked for"}))],
        remarks=[*texts, *_covered(diagnosis), *map(sentence, diagnosis.notes)],
        frame=pl.DataFrame(
            [{**asdict(one), "runs": " ".join(one.runs)} for one in diagnosis.findings],
            schema=dict.fromkeys(("name", "verdict", "seen", "means", "do", "runs"), pl.String()),
        ),
        data=as_data(diagnosis),
    )


def answer(diagnosis: Diagnosis) -> str:
    """How many signs there are, and of what."""
    seen = [one.name for one in diagnosis.findings if one.verdict == "seen"]
    open_ = [one.name for one in diagnosis.findings if one.verdict == "cannot be told"]
    if not diagnosis.findings:
        return "There are no data for any diagnostic: it takes several settings, random weights, or runs of a store."
    left = f"; of {len(open_)} nothing can be told" if open_ else ""
    count = len(diagnosis.findings)
    if not seen:
        return f"None of {count} diagnostics shows a sign against the ranking{left}."
    return f"{len(seen)} of {count} diagnostics show{'s' * (len(seen) == 1)} a sign{left}. Seen: {'; '.join(seen)}."


def _text(number: int, one: Finding) -> str:
    do = f" {sentence(one.do)}" if one.do else ""
    runs = f" Runs: {', '.join(one.runs[:_MOST_RUNS])}" if one.verdict == "seen" else ""
    more = f" and {len(one.runs) - _MOST_RUNS} more" if runs and len(one.runs) > _MOST_RUNS else ""
    return f"{number}. {one.seen}. {sentence(one.means)}{do}{f'{runs}{more}.' if runs else ''}"


def _covered(diagnosis: Diagnosis) -> list[str]:
    notes = list(dict.fromkeys(setting.of.note for setting in diagnosis.settings if setting.of.note))
    return [sentence(note) for note in notes]
