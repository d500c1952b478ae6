"""How the order came about during training. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.ranking.along_the_way import AlongTheWay
from segrank.ranking.phrases import counted
from segrank.report.figures.figure import Figure
from segrank.report.section import Section, Table, choices_of
from segrank.report.sheets.sheet import Sheet
from segrank.report.study import Part, Study

STABLE = 0.8
"""tau with the final order from which on an order is called stable here."""


def along(study: Study, figures: Sequence[Figure]) -> Section:
    parts = [(part, part.along) for part in study.parts if part.along is not None]
    if not parts:
        why = "No evaluations along the way: a table of results has none, and runs of very few steps neither."
        return Section("learning", "Learning curves", why)
    steps = sorted({point.progress for _, found in parts for point in found.points})
    rows = []
    for part, found in parts:
        tau = {point.progress: point.tau for point in found.points}
        cells = ["" if (at := tau.get(progress)) is None else f"{at:.2f}" for progress in steps]
        stable = found.stable_from(STABLE)
        rows.append([part.name, *cells, "at the end" if stable is None else f"{100 * stable:.3g} %"])
    headings = ["setting", *(f"{100 * progress:.3g} %" for progress in steps), "stable from"]
    sheet = Sheet(
        "Kendall's tau with the final order, after so much of the steps", headings, rows, frozenset({"setting"})
    )
    images = parts[0][1].points[-1].images
    return Section(
        "learning",
        "Learning curves",
        f"{_told(parts)} Where curves still cross at the end, more steps may change the order.",
        figures=figures if len(figures) < 3 else figures[-1:],
        choices=choices_of(figures[:-1]) if len(figures) > 2 else [],
        tables=[Table("learning-stability", sheet)],
        remarks=[
            f"Scores along the way are of part of the split ({counted(images, 'image')}) and in the precision of "
            "training; a run of fewer steps lowers its learning rate sooner and is not the same."
        ],
    )


def _told(parts: Sequence[tuple[Part, AlongTheWay]]) -> str:
    found = {part.name: along.stable_from(STABLE) for part, along in parts}
    known = [progress for progress in found.values() if progress is not None]
    late = [name for name, progress in found.items() if progress is None]
    if not known:
        return f"No order was within tau {STABLE:g} of the final one before the end of training."
    low, high = (f"{100 * end:.3g} %" for end in (min(known), max(known)))
    after = f"{low} of the steps" if low == high else f"{low} to {high} of the steps, by setting"
    but = f", but of {', '.join(late)} only at the end" if late else ""
    return f"The order stays within tau {STABLE:g} of the final one after {after}{but}."
