"""Variances of few values each, steadied by each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import digamma, polygamma

FloatArray = NDArray[np.float64]
_ALIKE_DF = 4.0
"""How alike encoders are taken to be at most, as degrees of freedom of a scaled inverse chi-square: the standard
deviations of 95 % of them lie between 0.6 and 2.9 times the common one."""
_OUTLYING = 0.05


class Steadied(NamedTuple):
    """All (n,)."""

    variance: FloatArray
    """Not too small, whether or not one is larger than the others: the larger of its own and the pooled one."""
    df: FloatArray
    """`_ALIKE_DF` from the others beside its own; at most the sum of all."""
    likely: FloatArray
    """Neither too small nor too large: between its own and the pooled one."""


def steadied(variance: FloatArray, df: FloatArray) -> Steadied:
    """Variances of few values each, steadied by those of the others without taking them to be the same.

    Those that are larger than chance makes them (F tests against all others, Bonferroni, the largest first) are left
    out of the pool and stand alone; so the others do not suffer from them.

    Args:
        variance: (n,) of which at least one has degrees of freedom.
        df: (n,) 0 or more; one with 0 gets the pooled variance.
    """
    pool = df > 0
    while pool.sum() > 2:
        squares, known = np.where(pool, df * variance, 0), np.where(pool, df, 0)
        others = (squares.sum() - squares) / np.maximum(known.sum() - known, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = stats.f.sf(variance / others, df, known.sum() - known)
        p = np.where(pool & (others > 0), p, 1.0)
        if p.min() * len(p) > _OUTLYING:
            break
        pool[p.argmin()] = False
    total = df[pool].sum()
    pooled = (df * variance)[pool].sum() / total
    of_others = np.where((df > 0) & ~pool, 0.0, _ALIKE_DF)
    return Steadied(
        variance=np.where(df > 0, np.maximum(variance, pooled), pooled),
        df=np.where(of_others > 0, np.minimum(_ALIKE_DF + df, total), df),
        likely=(of_others * pooled + df * variance) / (of_others + df),
    )


def moderated(variance: FloatArray, df: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Draw each variance towards their common value, the more so the more alike they are and the fewer its values.

    Variances are taken as scaled inverse chi-square around a common one, whose scale and degrees of freedom come from
    the mean and the spread of their logarithms: the empirical Bayes estimate of Smyth (Statistical Applications in
    Genetics and Molecular Biology 3, 2004, article 3, section 6), known from limma. Variances no more different than
    chance makes them are simply pooled. One with 0 degrees of freedom gets the common value.

    Args:
        variance: (n,) of which at least one has degrees of freedom.
        df: (n,) 0 or more.

    Returns:
        variances (n,) and their degrees of freedom (n,), at most the sum of `df`.
    """
    total = df.sum()
    pooled = (df * variance).sum() / total
    known = df > 0
    if known.sum() < 3 or pooled == 0:  # no telling how different they are
        return np.full(variance.shape, pooled), np.full(variance.shape, total)
    half = df[known] / 2
    # as limma does: a variance of 0 would be an infinite distance away
    logs = np.log(np.maximum(variance[known], 1e-5 * pooled)) - digamma(half) + np.log(half)
    beyond_chance = logs.var(ddof=1) - polygamma(1, half).mean()
    if beyond_chance <= 0:
        return np.full(variance.shape, pooled), np.full(variance.shape, total)
    prior_half = _inverse_trigamma(beyond_chance)
    prior = np.exp(logs.mean() + digamma(prior_half) - np.log(prior_half))
    prior_df = 2 * prior_half
    return (prior_df * prior + df * variance) / (prior_df + df), np.minimum(prior_df + df, total)


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value > 0, by Newton's method on 1 / trigamma, which is nearly linear."""
    x = 0.5 + 1 / value
    for _ in range(50):
        found = float(polygamma(1, x))
        step = found * (1 - found / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-8 * x:
            break
    return x
