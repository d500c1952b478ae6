"""Every chart of a study, for its page and for files. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import polars as pl
from altair.utils.schemapi import debug_mode

from segrank.report.figures.agreement import agreement
from segrank.report.figures.along import learning_curves, stability
from segrank.report.figures.bump import bump
from segrank.report.figures.classes import class_iou
from segrank.report.figures.cost import cost
from segrank.report.figures.effects import effects, steps
from segrank.report.figures.figure import Figure, Size
from segrank.report.figures.noise import noise
from segrank.report.figures.ranking import ranking
from segrank.report.sections.classes import PER_UNIT, class_scores
from segrank.report.study import Part, Refused, Study


@dataclass(frozen=True)
class Pictures:
    """By what they tell of; whatever a study does not answer has none."""

    ranking: tuple[Figure, ...]
    """One for each setting."""
    settings: tuple[Figure, ...]
    cost: tuple[Figure, ...]
    classes: tuple[Figure, ...]
    along: tuple[Figure, ...]
    effects: tuple[Figure, ...]

    def all(self) -> tuple[Figure, ...]:
        return tuple(figure for field in fields(self) for figure in getattr(self, field.name))


def pictures_of(study: Study, size: Size) -> Pictures:
    """No two figures have the same name; those of one setting of several have it in theirs."""
    with debug_mode(False):  # of Altair: it would check the whole chart again for every mark; ours are tested
        return _pictures_of(study, size)


def _pictures_of(study: Study, size: Size) -> Pictures:
    agreements, recommendation, found = study.agreements, study.recommendation, study.effects
    along = {part.name: part.along for part in study.parts if part.along is not None}
    of_settings = [] if isinstance(agreements, Refused) else [
        bump(agreements.settings, size=size), agreement(agreements, size=size), noise(agreements, size=size)
    ]  # fmt: skip
    return Pictures(
        ranking=_of_parts(study.parts, [ranking(part.board, size=size) for part in study.parts]),
        settings=_there(of_settings),
        cost=() if isinstance(recommendation, Refused) else _there([cost(recommendation, size=size)]),
        classes=_of_parts(study.parts, [_classes(part, study, size) for part in study.parts]),
        along=(
            *_of_parts(
                study.parts,
                [learning_curves(part.curves, part.setting.metric, size=size) for part in study.parts],
            ),
            *_there([stability(along, size=size)]),
        ),
        effects=() if isinstance(found, Refused) else _there([effects(found, size=size), steps(found, size=size)]),
    )


def _classes(part: Part, study: Study, size: Size) -> Figure | None:
    scores = class_scores(part, study.records)
    if not scores:
        return None
    rows = [
        {"class": name, "encoder": encoder, "iou": None if value is None else value / PER_UNIT}
        for name, values in zip(scores["classes"], scores["iou"], strict=True)
        for encoder, value in zip(scores["encoders"], values, strict=True)
    ]
    table = pl.DataFrame(rows, schema={"class": pl.String, "encoder": pl.String, "iou": pl.Float64})
    return class_iou(table, scores["encoders"], size=size)


def _there(figures: Iterable[Figure | None]) -> tuple[Figure, ...]:
    return tuple(figure for figure in figures if figure is not None)


def _of_parts(parts: Sequence[Part], figures: Sequence[Figure | None]) -> tuple[Figure, ...]:
    """With the setting in name and title, where there are several; numbered, since names of settings may look alike."""
    if len(parts) == 1:
        return _there(figures)
    return tuple(
        replace(figure, name=f"{figure.name}-{at}-{_as_file_name(part.name)}", title=f"{figure.title}: {part.name}")
        for at, (part, figure) in enumerate(zip(parts, figures, strict=True))
        if figure is not None
    )


def _as_file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "setting"
