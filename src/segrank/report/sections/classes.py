"""IoU of each class: all encoders side by side, and one against another. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from segrank.record import Record
from segrank.report.figures.figure import Figure
from segrank.report.section import Section, choices_of
from segrank.report.study import Part, Study

PER_UNIT = 10_000
"""IoU is kept in whole ten-thousandths."""


def classes(study: Study, figures: Sequence[Figure]) -> Section:
    found = {part.name: of for part in study.parts if (of := class_scores(part, study.records))}
    if not found:
        return Section("classes", "Classes", "IoU of single classes is known of the runs of a store only.")
    return Section(
        "classes",
        "Classes",
        "Choose two encoders: the difference says in which classes one is ahead. Sort by it, search for a class, or "
        "show all encoders beside each other. Differences of single classes are noisy, those of rare classes most: "
        "segrank compare A B gives their intervals.",
        figures=figures if len(figures) == 1 else [],
        choices=choices_of(figures),
        widget="classes",
        data={"settings": list(found), "parts": list(found.values()), "per_unit": PER_UNIT},
    )


def class_scores(part: Part, records: Mapping[str, Record]) -> dict[str, Any]:
    """Means over seeds, from the evaluations behind the ranking; empty if nothing can be read."""
    sums: dict[str, dict[str, list[float]]] = {}
    names: dict[str, None] = {}
    order = [entry.encoder for entry in part.board.boards[0].entries]
    for encoder, run, key in part.setting.block.rows.select("label", "run", "evaluation").iter_rows():
        evaluations = records[run].evaluations if run in records else ()
        of_run = [one for one in evaluations if one.key == key]
        for name, iou in ((n, v) for one in of_run for n, v in zip(_apart(one.classes), one.scores.iou, strict=True)):
            if iou is not None:
                names[name] = None
                sums.setdefault(encoder, {}).setdefault(name, []).append(iou)
    encoders = [name for name in order if name in sums] + [name for name in sums if name not in order]
    if not encoders:
        return {}
    return {
        "classes": list(names),
        "encoders": encoders,
        "iou": [[_whole(sums[encoder].get(name)) for encoder in encoders] for name in names],
    }


def _apart(names: Sequence[str]) -> list[str]:
    """Classes that share a name get a number."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return found


def _whole(values: Sequence[float] | None) -> int | None:
    return round(PER_UNIT * sum(values) / len(values)) if values else None
