"""Had training converged when it ended: from the evaluations along the way, on the images that they looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segrank.counts import confusion_from_table, scores
from segrank.errors import SegrankError
from segrank.ranking.finding import Finding, listed
from segrank.ranking.results import Results
from segrank.ranking.settings import Setting
from segrank.record import Evaluation
from segrank.store import Store

_LAST = (0.7, 0.8)
"""Share of the steps at which the last quarter begins: evaluations along the way are at 3/4, to the nearest step."""


@dataclass(frozen=True)
class Gain:
    """mIoU of one run on the same images, at 3/4 of its steps and at their end."""

    before: float
    after: float

    @property
    def value(self) -> float:
        return self.after - self.before


def last_quarter(results: Results, settings: Sequence[Setting]) -> dict[str, Gain]:
    """Run -> what it gained in the last quarter of its steps; runs without an evaluation at 3/4 are left out, and all
    of results that no store is behind."""
    known = results.known if results.known is not None else {}
    found = {}
    for run in dict.fromkeys(run for setting in settings for runs in setting.cell.runs for run in runs):
        if results.store and ("last quarter", run) not in known:
            known["last quarter", run] = _gain(results.store, run)
        if gain := known.get(("last quarter", run)):
            found[run] = gain
    return found


def _gain(store: Store, run: str) -> Gain | None:
    try:
        record = store.record(run)
        final = record.evaluation if record else None
        along = [e for e in record.evaluations if _before(e, final, record.spec.steps)] if record and final else []
        if final is None or not along:
            return None
        counts = store.counts(along[-1])
        same = confusion_from_table(store.counts(final), len(final.classes), set(counts["image"].unique()))
        return Gain(along[-1].scores.miou, scores(same, final.classes).miou)
    except (SegrankError, OSError, pl.exceptions.PolarsError):
        return None  # damaged: other verbs tell of it


def _before(one: Evaluation, final: Evaluation, steps: int) -> bool:
    return (
        not one.final
        and _LAST[0] <= one.step / steps <= _LAST[1]
        and (one.dataset_digest, one.split, one.corruption) == (final.dataset_digest, final.split, final.corruption)
    )


def convergence(settings: Sequence[Setting], gains: Mapping[str, Gain]) -> Finding | None:
    """Whether encoders still gained so unlike each other that the order may not be final; none without evaluations.

    The spread of their gains in the last quarter is held against the median difference of neighbours in the order.
    """
    moving: list[str] = []
    still: list[str] = []
    alone: list[str] = []
    for setting in settings if gains else ():
        mean = gains_by_encoder(setting, gains)
        if not mean:
            continue
        most, least = max(mean, key=lambda e: mean[e]), min(mean, key=lambda e: mean[e])
        if len(mean) < 2:
            alone.append(f"{setting.name or 'there'} {most} gained {points(mean[most])} points in the last quarter")
            continue
        gap = float(np.median(np.diff(np.sort(setting.of.value))))
        text = (
            f"{f'under {setting.name} ' * bool(setting.name)}encoders gained {points(mean[least])} ({least}) to "
            f"{points(mean[most])} ({most}) points in the last quarter; neighbours are {100 * gap:.2f} apart (median)"
        )
        (moving if mean[most] - mean[least] > gap else still).append(text)
    runs = tuple(run for run in gains if any(run in of for setting in settings for of in setting.cell.runs))
    name = "the order was still moving when training ended"
    if moving:
        means = "encoders gained so unlike each other that with more steps the order may be another"
        do = "train for more steps, or choose the learning rate again, before this order is believed"
        return Finding(name, "seen", listed(moving, 4, "; "), means, do, runs)
    if still:
        means = "what one encoder gained more than another is less than what parts neighbours"
        return Finding(name, "not seen", listed(still, 4, "; "), means, "", runs)
    if alone:
        means = "with a single encoder there is no order that could move"
        return Finding(name, "cannot be told", listed(alone, 4, "; "), means, "", runs)
    return None


def gains_by_encoder(setting: Setting, gains: Mapping[str, Gain]) -> dict[str, float]:
    """Encoder -> mean over those of its runs that have a gain; nothing where a setting scores on something else."""
    if not setting.rows["own"].all():
        return {}
    found = {}
    for encoder, runs in zip(setting.cell.encoders, setting.cell.runs, strict=True):
        if known := [gains[run].value for run in runs if run in gains]:
            found[encoder] = float(np.mean(known))
    return found


def points(value: float) -> str:
    return f"{100 * value:+.2f}"
