"""What speaks against the ranking. No torch."""

from __future__ import annotations

from segrank.ranking.diagnose_words import answer
from segrank.ranking.phrases import sentence
from segrank.report.section import Item, Section
from segrank.report.study import Refused, Study


def diagnostics(study: Study) -> Section:
    found = study.diagnosis
    if isinstance(found, Refused):
        return Section("diagnostics", "Diagnostics", found.why)
    items = [
        Item(
            sentence(one.name).removesuffix("."),
            one.verdict,
            [sentence(text) for text in (one.seen, one.means, one.do) if text],
            one.runs,
            alarm=one.verdict == "seen",
        )
        for one in found.findings
    ]
    return Section(
        "diagnostics",
        "Diagnostics",
        f"{answer(found)} What was seen comes first; not seen: looked for with data that would have shown it.",
        items=items,
        remarks=[sentence(note) for note in found.notes],
    )
