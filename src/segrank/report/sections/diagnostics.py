"""What speaks against the ranking. No torch."""

from __future__ import annotations

from segrank.ranking.diagnose_words import answer
from segrank.ranking.phrases import sentence
from segrank.report.section import Section, Table
from segrank.report.sheets.sheet import Sheet
from segrank.report.study import Refused, Study


def diagnostics(study: Study) -> Section:
    found = study.diagnosis
    if isinstance(found, Refused):
        return Section("diagnostics", "Diagnostics", found.why)
    headings = ("verdict", "looked for", "evidence", "what it means", "what to do")
    rows = [
        [one.verdict, one.name, sentence(one.seen), sentence(one.means), sentence(one.do) if one.do else ""]
        for one in found.findings
    ]
    table = Table("diagnostics-0", Sheet("", headings, rows, frozenset(headings)), [one.runs for one in found.findings])
    return Section(
        "diagnostics",
        "Diagnostics",
        f"{answer(found)} What was seen comes first; not seen: looked for with data that would have shown it.",
        tables=[table] if rows else [],
        remarks=[sentence(note) for note in found.notes],
    )
