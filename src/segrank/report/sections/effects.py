"""What explains the scores: pretraining, lineage, settings. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.report.figures.figure import Figure
from segrank.report.section import Section, Table
from segrank.report.sheets.effects import report
from segrank.report.study import Refused, Study


def effects(study: Study, figures: Sequence[Figure]) -> Section:
    found = study.effects
    if isinstance(found, Refused):
        return Section("effects", "Effects", found.why)
    told = report(found)
    return Section(
        "effects",
        "Effects",
        f"{told.headline} An interval that holds 0 says that the effect may be none; with few encoders, that it may "
        "as well be large.",
        figures=figures,
        tables=[
            Table(f"effects-{at}", sheet, searched=len(sheet.rows) > 20)
            for at, sheet in enumerate(told.sheets)
            if sheet.rows
        ],
        remarks=told.remarks,
    )
