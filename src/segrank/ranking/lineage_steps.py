"""Did a step of pretraining help: an encoder against the one it came from, on the same images and seeds. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from segrank.cards import LINEAGES, Lineage
from segrank.ranking.difference import difference
from segrank.ranking.families import card_for
from segrank.ranking.ranks import holm
from segrank.ranking.settings import Setting
from segrank.ranking.standard_errors import LEVEL

Verdict = Literal["helped", "hurt", "not told", "unknown"]


@dataclass(frozen=True)
class Step:
    """A lineage under one setting. These encoders are what is asked about; seeds and images are the samples."""

    lineage: Lineage
    setting: str
    value: float
    """Score of the child - score of the parent."""
    interval: tuple[float, float] | None
    p_value: float | None
    adjusted: float | None
    """Holm over all steps and settings."""
    verdict: Verdict
    """`unknown`: nothing is known of the errors."""
    covers: tuple[str, ...]
    runs: tuple[str, ...]


def lineage_steps(settings: Sequence[Setting], level: float = LEVEL) -> tuple[Step, ...]:
    """Every step of `LINEAGES` whose two encoders a setting has."""
    found = []
    for setting in settings:
        index = {label: at for at, label in enumerate(setting.of.encoders)}
        pairs = setting.rows.select("encoder_id", "label").unique().rows()
        at = {card.name: index[label] for encoder, label in pairs if (card := card_for(encoder))}
        for lineage in LINEAGES:
            if lineage.child not in at or lineage.parent not in at:
                continue
            child, parent = at[lineage.child], at[lineage.parent]
            seen = difference(setting.of, child, parent, level=level)
            found.append(
                Step(
                    lineage=lineage,
                    setting=setting.name,
                    value=seen.value,
                    interval=(seen.interval.low, seen.interval.high) if seen.interval else None,
                    p_value=seen.p_value,
                    adjusted=None,
                    verdict="unknown",
                    covers=setting.of.covers,
                    runs=(*setting.cell.runs[child], *setting.cell.runs[parent]),
                )
            )
    up = 1 if not settings or settings[0].of.higher_is_better else -1
    return with_verdicts(found, up, level)


def with_verdicts(steps: Sequence[Step], up: int, level: float = LEVEL) -> tuple[Step, ...]:
    """With p-values after Holm's correction over all of them, and what these allow to be said.

    Args:
        steps: without them.
        up: 1 if a higher score is better, else -1.
        level: of the verdicts.
    """
    found = list(steps)
    known = [number for number, step in enumerate(found) if step.p_value is not None]
    adjusted = holm(np.array([found[number].p_value for number in known], np.float64)) if known else np.array([])
    for number, p in zip(known, adjusted.tolist(), strict=True):
        better: Verdict = "helped" if up * found[number].value > 0 else "hurt"
        found[number] = replace(found[number], adjusted=p, verdict=better if p <= 1 - level else "not told")
    return tuple(found)
