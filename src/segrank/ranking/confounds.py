"""What may be behind an effect: numbers that go along with the scores, and with the factors. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.effect import Contrast
from segrank.ranking.permutation import Permuted, of_ranks
from segrank.ranking.ranks import holm
from segrank.ranking.standard_errors import LEVEL

FloatArray = NDArray[np.float64]
FEWEST = 5
"""Encoders of which an association is told."""
MOST_SHARED = 0.8
"""Of a confound's ranks that groups explain: above, the variance of an effect beside the confound is five times that
of the effect alone, the usual sign of collinearity (variance inflation factor 5)."""


@dataclass(frozen=True)
class Association:
    """Spearman's correlation of the score with a number, over families of encoders."""

    confound: str
    encoders: tuple[str, ...]
    correlation: float
    interval: tuple[float, float] | None
    """None where both are in one order: it would have no width."""
    test: Permuted
    adjusted: float = 1.0
    """Holm over all associations."""


@dataclass(frozen=True)
class Entangled:
    """How far a factor is the same thing as a confound, on these encoders."""

    factor: str
    confound: str
    encoders: tuple[str, ...]
    shared: float
    """How much of the confound's ranks the groups explain: 0 to 1 (eta squared)."""
    separated: bool
    """The confound's values of one group are all above those of the other."""
    beside: Contrast | None
    """The factor's contrast where the confound's ranks are held equal, by least squares. None of more than two groups,
    and where they cannot be told apart."""

    @property
    def inseparable(self) -> bool:
        return self.separated or self.shared > MOST_SHARED


def associations(
    scores: Mapping[str, float], confounds: Mapping[str, Mapping[str, float]], *, seed: int = 0
) -> tuple[Association, ...]:
    """Of the scores with each confound that at least `FEWEST` encoders have and not all equal.

    The interval is Fisher's with the variance of Bonett and Wright (Psychometrika 65, 2000, 23-28).

    Args:
        scores: encoder -> score.
        confounds: name -> encoder -> value.
        seed: of sampled tests.
    """
    found = []
    for name, values in confounds.items():
        encoders = tuple(encoder for encoder in scores if encoder in values)
        x, y = (np.array([of[encoder] for encoder in encoders]) for of in (values, scores))
        if len(encoders) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
            continue
        correlation = float(stats.spearmanr(x, y).statistic)
        found.append(
            Association(name, encoders, correlation, _interval(correlation, len(x)), of_ranks(x, y, seed=seed))
        )
    if not found:
        return ()
    adjusted = holm(np.array([each.test.p_value for each in found])).tolist()
    return tuple(replace(each, adjusted=p) for each, p in zip(found, adjusted, strict=True))


def entangled(
    factor: str, scores: Mapping[str, float], levels: Mapping[str, str], confound: str, values: Mapping[str, float]
) -> Entangled | None:
    """A factor beside a confound; None for fewer than `FEWEST` encoders, or where either is constant among them."""
    encoders = tuple(encoder for encoder in levels if encoder in values)
    order = sorted({levels[encoder] for encoder in encoders})
    raw = np.array([values[encoder] for encoder in encoders])
    if len(encoders) < FEWEST or len(order) < 2 or np.ptp(raw) == 0:
        return None
    ranks = stats.rankdata(raw)
    group = np.array([order.index(levels[encoder]) for encoder in encoders])
    means = np.array([ranks[group == at].mean() for at in range(len(order))])
    shared = float(((means[group] - ranks.mean()) ** 2).sum() / ((ranks - ranks.mean()) ** 2).sum())
    two = len(order) == 2
    separated = two and bool(
        raw[group == 0].max() < raw[group == 1].min() or raw[group == 1].max() < raw[group == 0].min()
    )
    found = Entangled(factor, confound, encoders, shared, separated, None)
    if not two or found.inseparable:
        return found
    y = np.array([scores[encoder] for encoder in encoders])
    return replace(found, beside=_beside(f"{order[1]} - {order[0]}", y, group, ranks))


def _beside(name: str, y: FloatArray, group: NDArray[np.intp], ranks: FloatArray) -> Contrast | None:
    """The group's coefficient in y ~ 1 + group + ranks, with its t interval."""
    design = np.stack([np.ones(len(y)), group, ranks], axis=1)
    solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    df = len(y) - 3
    if rank < 3 or df < 1:
        return None
    variance = float(((y - design @ solution) ** 2).sum()) / df * float(np.linalg.inv(design.T @ design)[1, 1])
    half = float(np.sqrt(variance) * stats.t.ppf((1 + LEVEL) / 2, df))
    value = float(solution[1])
    return Contrast(name, value, (value - half, value + half))


def _interval(correlation: float, count: int) -> tuple[float, float] | None:
    if abs(correlation) > 1 - 1e-12:
        return None
    half = float(stats.norm.ppf((1 + LEVEL) / 2)) * np.sqrt((1 + correlation**2 / 2) / (count - 3))
    middle = np.arctanh(correlation)
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))
