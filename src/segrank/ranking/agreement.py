"""Agreement of two rankings: Kendall's tau-b and weighted tau, with intervals; which pairs flip, and whether really."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.error_covariances import error_covariances, joint_error_covariances
from segrank.ranking.flips import Flip, flips
from segrank.ranking.intervals import Estimates, only
from segrank.ranking.once import once
from segrank.ranking.posterior import true_scores, true_scores_of_two
from segrank.ranking.ranks import holm, merit, pairwise, two_sided
from segrank.ranking.standard_errors import LEVEL

FloatArray = NDArray[np.float64]
DRAWS = 2_000
FEWEST_SAMPLED = 5
"""Encoders, to speak of others than these: of four the interval holds too rarely (92 % at tau 0)."""
MOST_ENCODERS = 100
"""For which true scores of two settings are drawn together: the work grows with the third power."""


@dataclass(frozen=True)
class TauInterval:
    low: float
    high: float
    level: float
    note: str = ""


@dataclass(frozen=True)
class Ceiling:
    """tau that a repetition with new seeds and images would give."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    encoders: tuple[str, ...]
    """Those that both have, in the order of x."""
    tau: float | None
    """Kendall's tau-b (scipy's); none if one side is all ties or fewer than two encoders are shared."""
    p_value: float | None
    """scipy's, of independent orders."""
    weighted_tau: float | None
    """scipy's, additive hyperbolic weights: exchanges at the top count more. It has no p-value."""
    interval: TauInterval | None
    """Of the true orders' tau: these encoders."""
    weighted_interval: TauInterval | None
    interval_encoders: TauInterval | None
    """Of the tau of scores such as these, if these encoders are a sample of encoders; those of one family count as
    one."""
    families: int
    """Of the shared encoders."""
    ceiling_x: Ceiling | None
    """x against its own repetition: noise alone lets a perfect agreement look no better."""
    ceiling_y: Ceiling | None
    same_order: float | None
    """Probability of a tau as low as this or lower, if both true orders were the same; or, where under one of them no
    two encoders are told apart, if all were equal there and that makes it more likely."""
    if_same: Ceiling | None
    """The tau to expect with the noise of both sides, if both true orders were the same."""
    moves: tuple[int, ...]
    """Per encoder its rank in y - its rank in x, among the shared ones."""
    flips: tuple[Flip, ...]
    """The most certain first, then those with large differences; at most `flips.MOST_FLIPS`."""
    flipped: int
    """How many flips there are, listed or not."""
    really_flipped: int
    """How many of them are real."""
    note: str = ""


def agreement(
    x: Estimates,
    y: Estimates,
    *,
    families: Mapping[str, str] | None = None,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """How far two settings order the same encoders alike.

    Encoders are matched by name, and the direction of each metric is minded. Interval, ceilings and the probability of
    a flip come from draws of the true scores (see `posterior`): draws around the scores themselves would be noisier
    than these are, and their tau too low. There are none for fewer than three shared encoders, for more than
    `MOST_ENCODERS`, where one of the two has no errors to draw from, or without draws.

    Asked again of the same two, it is not computed again.

    Args:
        x, y: the settings.
        families: encoder -> family, where that is not each its own.
        level: of the intervals.
        draws: of true scores.
        seed: of these.
    """
    names = tuple(name for name in x.encoders if name in y.encoders)
    of_names = tuple((families or {}).get(name, name) for name in names)
    known = _known(x).setdefault(y, {})
    asked = of_names, level, draws, seed
    if asked not in known:
        known[asked] = _agreement(only(x, names), only(y, names), len(set(of_names)), level, draws, seed)
    return known[asked]


@once
def _known(_: Estimates) -> WeakKeyDictionary[Estimates, dict[tuple[object, ...], Agreement]]:
    """Its agreements with others."""
    return WeakKeyDictionary()


def _agreement(x: Estimates, y: Estimates, independent: int, level: float, draws: int, seed: int) -> Agreement:
    """Of the same encoders in the same order, of so many families."""
    names = x.encoders
    merit_x, merit_y = merit(x), merit(y)
    tau, p_value, weighted = _taus(merit_x, merit_y)
    flipped = flips(x, y, None, level)
    plain = Agreement(
        encoders=names,
        tau=tau,
        p_value=p_value,
        weighted_tau=weighted,
        interval=None,
        weighted_interval=None,
        interval_encoders=over_encoders(tau, independent, level),
        families=independent,
        ceiling_x=None,
        ceiling_y=None,
        same_order=None,
        if_same=None,
        moves=tuple((_ranks(merit_y) - _ranks(merit_x)).tolist()),
        flips=flipped.listed,
        flipped=flipped.number,
        really_flipped=flipped.real,
        note=_why_not(x, y),
    )
    if plain.note or tau is None or not draws:
        return plain
    random = np.random.default_rng(seed)
    joint = joint_error_covariances(x, y)
    true = true_scores_of_two(x, y, draws, random, covariances=joint)
    merits = _up(x) * true.x, _up(y) * true.y
    products = _products(*merits)
    nulls = [_taus_of_one_order(x, y, joint, draws, random)]
    if not (_tells_any_apart(x, level) and _tells_any_apart(y, level)):
        # under one of them all may be equal: then no order is another than any, and noise alone makes it
        nothing = np.zeros((draws, len(names)))
        nulls.append(_noisy_taus(nothing, nothing, x, y, joint, random))
    same = max(nulls, key=lambda taus: float((taus <= tau + 1e-9).mean()))
    return replace(
        plain,
        interval=_middle(_tau_of(products), level),
        weighted_interval=_middle(_weighted_of_draws(*merits, products), level),
        ceiling_x=_ceiling(x, draws, level, random),
        ceiling_y=_ceiling(y, draws, level, random),
        same_order=float((same <= tau + 1e-9).mean()),
        if_same=_expected(same, level),
        flips=flips(x, y, products, level).listed,
        note="; ".join(f"{side}: {of.note}" for side, of in (("x", x), ("y", y)) if of.note),
    )


def _taus(x: FloatArray, y: FloatArray) -> tuple[float | None, float | None, float | None]:
    """tau-b, its p-value and weighted tau; none of them where all are tied."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None, None, None
    found = stats.kendalltau(x, y)
    return float(found.statistic), float(found.pvalue), float(stats.weightedtau(x, y).statistic)


def _why_not(x: Estimates, y: Estimates) -> str:
    count = len(x.encoders)
    if count < 3:
        return f"{count} shared encoders: no interval for fewer than 3"
    if count > MOST_ENCODERS:
        return f"{count} shared encoders: no interval of the true orders' tau for more than {MOST_ENCODERS}"
    without = [side for side, of in (("x", x), ("y", y)) if not of.covers]
    return f"no interval of the true orders' tau: nothing is known of the errors of {' and '.join(without)}" * bool(
        without
    )


def _products(x: FloatArray, y: FloatArray) -> NDArray[np.int8]:
    """(pairs, draws): 1 for a pair in the same order, -1 for one in the other, 0 for a tie."""
    found = _orders(x)
    found *= _orders(y)
    return found


def _orders(of: FloatArray) -> NDArray[np.int8]:
    """(pairs, draws), from (draws, encoders): 1 where the first encoder of the pair has more, -1 where it has less."""
    values = np.ascontiguousarray(of.T)
    count, draws = values.shape
    found, at = np.empty((comb(count, 2), draws), np.int8), 0
    for first in range(count - 1):
        others = values[first + 1 :]
        into = found[at : at + len(others)]
        np.subtract((values[first] > others).view(np.int8), (values[first] < others).view(np.int8), out=into)
        at += len(others)
    return found


def _tau_of(products: NDArray[np.int8]) -> FloatArray:
    """(draws,): tau of each, from (pairs, draws) without ties."""
    found: FloatArray = products.sum(axis=0, dtype=np.int64) / len(products)
    return found


def _tau_of_draws(x: FloatArray, y: FloatArray) -> FloatArray:
    """(draws,): tau of each; draws have no ties."""
    return _tau_of(_products(x, y))


def _weighted_of_draws(x: FloatArray, y: FloatArray, products: NDArray[np.int8]) -> FloatArray:
    """(draws,): scipy's weighted tau where there are no ties: the mean of those with the ranks of x and of y."""
    count = x.shape[1]
    a, b = np.triu_indices(count, 1)
    agreed = np.zeros((len(x), count))  # of each encoder, pairs in the same order - pairs in the other
    for encoder in range(count):
        agreed[:, encoder] = products[(a == encoder) | (b == encoder)].sum(axis=0, dtype=np.int64)
    found = np.zeros(len(x))
    for side in (x, y):
        # a pair's weight is the sum of its encoders': each is in count - 1 pairs
        weight = 1 / (1 + (-side).argsort(axis=1).argsort(axis=1))
        found += (weight * agreed).sum(axis=1) / weight.sum(axis=1) / (count - 1) / 2
    return found


def _middle(draws: FloatArray, level: float) -> TauInterval:
    # tau has steps: the interval ends on values that it can have
    low = float(np.quantile(draws, (1 - level) / 2, method="lower"))
    high = float(np.quantile(draws, (1 + level) / 2, method="higher"))
    return TauInterval(low, high, level)


def _ceiling(of: Estimates, draws: int, level: float, random: np.random.Generator) -> Ceiling:
    true = true_scores(of, draws, random)
    one, other = (true + _noise(error_covariances(of), draws, random) for _ in range(2))
    return _expected(_tau_of_draws(one, other), level)


def _expected(taus: FloatArray, level: float) -> Ceiling:
    middle = _middle(taus, level)
    return Ceiling(float(taus.mean()), middle.low, middle.high)


def _taus_of_one_order(
    x: Estimates, y: Estimates, joint: Sequence[FloatArray], draws: int, random: np.random.Generator
) -> FloatArray:
    """(draws,): what noise alone leaves of a tau of 1: y's true scores are put in x's true order."""
    true_x, true_y = (_up(of) * true_scores(of, draws, random) for of in (x, y))
    place = true_x.argsort(axis=1).argsort(axis=1)
    true_y = np.take_along_axis(np.sort(true_y, axis=1), place, axis=1)
    return _noisy_taus(true_x, true_y, x, y, joint, random)


def _noisy_taus(
    true_x: FloatArray,
    true_y: FloatArray,
    x: Estimates,
    y: Estimates,
    joint: Sequence[FloatArray],
    random: np.random.Generator,
) -> FloatArray:
    """(draws,) of true scores (draws, encoders) each, the higher the better, with the errors of both added."""
    noise_x, noise_y = np.split(_noise(joint, len(true_x), random), 2, axis=1)
    return _tau_of_draws(true_x + _up(x) * noise_x, true_y + _up(y) * noise_y)


def _tells_any_apart(of: Estimates, level: float) -> bool:
    a, b = np.triu_indices(len(of.encoders), 1)
    return bool((holm(two_sided(pairwise(of)[a, b])) <= 1 - level).any())


def _noise(covariances: Sequence[FloatArray], draws: int, random: np.random.Generator) -> FloatArray:
    """(draws, errors) of errors that have one of these covariances each."""
    parts = []
    for covariance, number in zip(covariances, np.bincount(np.arange(draws) % len(covariances)), strict=True):
        values, vectors = np.linalg.eigh(covariance)
        parts.append(random.standard_normal((number, len(values))) * np.sqrt(np.maximum(values, 0)) @ vectors.T)
    return random.permutation(np.concatenate(parts))


def _ranks(merits: FloatArray) -> NDArray[np.int64]:
    found: NDArray[np.int64] = stats.rankdata(-merits, method="min").astype(np.int64)
    return found


def _up(of: Estimates) -> int:
    return 1 if of.higher_is_better else -1


def over_encoders(tau: float | None, encoders: int, level: float) -> TauInterval | None:
    """Those taus whose own spread over samples of encoders leaves `tau` likely; none for fewer than `FEWEST_SAMPLED`.

    The spread is that of normal scores (Esscher, Skandinavisk Aktuarietidskrift 7, 1924, 201-219): what the jackknife
    finds in a few encoders is too little where tau is high, and nothing where it is 1.
    """
    if tau is None or encoders < FEWEST_SAMPLED:
        return None
    may_be = np.linspace(-1, 1, 2001)
    correlation = np.sin(np.pi / 2 * may_be)
    of_three = 1 / 9 - (2 / np.pi * np.arcsin(correlation / 2)) ** 2
    variance = 2 / (encoders * (encoders - 1)) * (1 - may_be**2 + 2 * (encoders - 2) * of_three)
    likely = np.abs(may_be - tau) <= stats.norm.ppf((1 + level) / 2) * np.sqrt(np.maximum(variance, 0))
    found = may_be[likely | np.isclose(may_be, tau, atol=1e-3)]
    return TauInterval(float(min(found[0], tau)), float(max(found[-1], tau)), level)
