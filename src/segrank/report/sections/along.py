"""How the order came about during training. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.ranking.phrases import counted
from segrank.report.figures.figure import Figure
from segrank.report.section import Section, Table
from segrank.report.sheets.sheet import Sheet
from segrank.report.study import Study

STABLE = 0.8
"""tau with the final order from which on an order is called stable here."""


def along(study: Study, figures: Sequence[Figure]) -> Section:
    parts = [(part, part.along) for part in study.parts if part.along is not None]
    if not parts:
        why = "No evaluations along the way: a table of results has none, and runs of very few steps neither."
        return Section("learning", "Learning curves", why)
    stable = {part.name: found.stable_from(STABLE) for part, found in parts}
    late = [name for name, progress in stable.items() if progress is None]
    early = {name: progress for name, progress in stable.items() if progress is not None}
    said = [f"{_named(name)} after {100 * progress:.3g} % of the steps" for name, progress in early.items()]
    told = f"The order stays within tau {STABLE:g} of the final one from here on: {'; '.join(said)}." if said else ""
    if late:
        told += f" Not before the end: {', '.join(map(_named, late))}."
    rows = [
        [
            part.name,
            f"{100 * point.progress:.3g}",
            "" if point.tau is None else f"{point.tau:.2f}",
            str(point.encoders),
            str(point.images),
        ]
        for part, found in parts
        for point in found.points
    ]
    headings = ["setting", "% of the steps", "tau with its final order", "encoders", "images"]
    images = parts[0][1].points[-1].images
    return Section(
        "learning",
        "Learning curves",
        f"{told} Where curves still cross at the end, more steps may change the order.",
        figures=figures,
        tables=[Table("learning-0", Sheet("Stability of the order", headings, rows, frozenset({"setting"})))],
        remarks=[
            f"Scores along the way are of part of the split ({counted(images, 'image')}) and in the precision of "
            "training; a run of fewer steps lowers its learning rate sooner and is not the same."
        ],
    )


def _named(name: str) -> str:
    return name or "this setting"
