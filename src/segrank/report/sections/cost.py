"""What a setting costs against how far it keeps the order of the dearest one. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.report.figures.figure import Figure
from segrank.report.section import Section, Table
from segrank.report.sheets.recommend import report
from segrank.report.study import Refused, Study


def cost(study: Study, figures: Sequence[Figure]) -> Section:
    found = study.recommendation
    if isinstance(found, Refused):
        return Section("cost", "Cost and agreement", found.why)
    told = report(found)
    return Section(
        "cost",
        "Cost and agreement",
        f"{told.headline} A protocol is worth its price where no cheaper one agrees as well with {found.target.name}: "
        "those are on the Pareto front.",
        figures=figures,
        tables=[
            Table(f"cost-{at}", sheet, searched=len(sheet.rows) > 20)
            for at, sheet in enumerate(told.sheets)
            if sheet.rows
        ],
        remarks=told.remarks,
    )
