"""What `segrank diagnose` found, in words. No torch."""

from __future__ import annotations

from dataclasses import asdict

import polars as pl

from segrank.ranking.diagnose_words import answer
from segrank.ranking.diagnostics import Diagnosis, as_data
from segrank.ranking.finding import Finding
from segrank.ranking.phrases import sentence
from segrank.report.sheets.sheet import Report, Sheet

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


def _text(number: int, one: Finding) -> str:
    do = f" {sentence(one.do)}" if one.do else ""
    runs = f" Runs: {', '.join(one.runs[:_MOST_RUNS])}" if one.verdict == "seen" else ""
    more = f" and {len(one.runs) - _MOST_RUNS} more" if runs and len(one.runs) > _MOST_RUNS else ""
    return f"{number}. {one.seen}. {sentence(one.means)}{do}{f'{runs}{more}.' if runs else ''}"


def _covered(diagnosis: Diagnosis) -> list[str]:
    notes = list(dict.fromkeys(setting.of.note for setting in diagnosis.settings if setting.of.note))
    return [sentence(note) for note in notes]
