"""From a study to its page: which sections there are, in which order. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from segrank.ranking.phrases import counted
from segrank.report.answer import answer_of
from segrank.report.figures.figure import PAGE
from segrank.report.page import Page
from segrank.report.pictures import pictures_of
from segrank.report.sections.along import along
from segrank.report.sections.changes import Before, changes
from segrank.report.sections.classes import classes
from segrank.report.sections.cost import cost
from segrank.report.sections.diagnostics import diagnostics
from segrank.report.sections.effects import effects
from segrank.report.sections.images import ToShow, images
from segrank.report.sections.protocol import protocol
from segrank.report.sections.ranking import ranking
from segrank.report.sections.runs import runs
from segrank.report.sections.settings import settings
from segrank.report.study import Study


def page_of(
    study: Study,
    *,
    title: str = "",
    licences: Mapping[str, str] | None = None,
    show: ToShow | None = None,
    before: Before | None = None,
) -> Page:
    """
    Args:
        study: from `read_study`.
        title: of the page.
        licences: of datasets, by name, for the protocol.
        show: images that the page may hold; none by default.
        before: what an earlier store or table held, to say what has changed.
    """
    encoders = len({entry.encoder for part in study.parts for entry in part.board.boards[0].entries})
    several = len(study.parts) > 1
    over = f" under {len(study.parts)} settings" if several else ""
    pictures = pictures_of(study, PAGE)
    sections = [
        *([changes(study, before)] if before else []),
        ranking(study, pictures.ranking),
        *([settings(study, pictures.settings), cost(study, pictures.cost)] if several else []),
        classes(study, pictures.classes),
        images(study, show),
        along(study, pictures.along),
        effects(study, pictures.effects),
        diagnostics(study),
        protocol(study, licences or {}),
        runs(study),
    ]
    now = datetime.now(UTC)
    return Page(
        title=title or f"{counted(encoders, 'encoder')} for semantic segmentation{over}",
        eyebrow=f"From {study.results.source}, {now:%d %B %Y}",
        answer=answer_of(study, pictures.ranking[:1]),
        sections=[section for section in sections if section is not None],
        footer=(
            f"Made on {now:%Y-%m-%d at %H:%M} UTC. The protocol is after arXiv 2404.12172. This file loads nothing "
            "from elsewhere."
        ),
    )
