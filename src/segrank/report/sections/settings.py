"""How far settings order the encoders alike. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.report.figures.figure import Figure
from segrank.report.section import Section, Table
from segrank.report.sheets.agree import report
from segrank.report.study import Refused, Study


def settings(study: Study, figures: Sequence[Figure]) -> Section:
    found = study.agreements
    if isinstance(found, Refused):
        return Section("settings", "Settings", found.why)
    told = report(found)
    tables = [Table(f"settings-{at}", sheet, searched=len(sheet.rows) > 20) for at, sheet in enumerate(told.sheets)]
    return Section(
        "settings",
        "Settings",
        f"{told.headline} Kendall's tau says how alike two orders are: 1 for the same, 0 for unrelated ones, -1 for "
        "the reverse. In the first picture lines cross where settings order encoders differently. In the third, orders "
        "differ by more than noise where the dot lies left of the band.",
        figures=figures,
        tables=[table for table in tables if table.sheet.rows],
        remarks=told.remarks,
    )
