"""What the true scores may be, given scores with errors: draws that are not spread wider than the truth.

The scores themselves are spread wider than the true ones, by their errors, so draws around them would order equal
encoders and weaken every agreement. Here true scores are normal around a common mean, with a spread that is learnt
from the scores: the hierarchical model of Rubin (Journal of Educational Statistics 6, 1981, 377-401), with a uniform
prior on how far scores are drawn towards the mean (Daniels, Canadian Journal of Statistics 27, 1999, 567-578). Ranks do
not depend on the mean, which is left out: scores are taken in contrasts, as in restricted maximum likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import helmert
from scipy.special import logsumexp

from segrank.ranking.error_covariances import error_covariances, joint_error_covariances
from segrank.ranking.intervals import Estimates
from segrank.ranking.paired_normals import PairedNormals

FloatArray = NDArray[np.float64]
_SPREADS = 200
_SMALLEST, _LARGEST = 1e-4, 1e6
"""Spread of true scores beside their errors, as variances."""


def true_scores(of: Estimates, draws: int, random: np.random.Generator) -> FloatArray:
    """(draws, encoders): true scores around their mean. There must be two encoders. Without errors they are the scores,
    and equal ones are in either order as often."""
    fits = [_fit(of.value, covariance) for covariance in error_covariances(of)]
    evidence = np.concatenate([fit.log_weight for fit in fits])
    weight = np.exp(evidence - evidence.max())
    chosen = random.multinomial(draws, weight / weight.sum()).reshape(len(fits), -1)
    found = []
    for fit, counts in zip(fits, chosen, strict=True):
        spread = np.repeat(fit.spread, counts)[:, None]
        kept = spread / (spread + fit.error)
        noise = random.standard_normal((len(spread), fit.error.size))
        found.append((kept * fit.seen + np.sqrt(kept * fit.error) * noise) @ fit.basis)
    return random.permutation(np.concatenate(found))


class _Fit(NamedTuple):
    """Of one covariance of errors, in the basis in which the errors are independent."""

    basis: FloatArray
    """(encoders - 1, encoders), orthonormal, without the mean."""
    seen: FloatArray
    """(encoders - 1,): the scores in it."""
    error: FloatArray
    """(encoders - 1,): variances."""
    spread: FloatArray
    """(spreads,): what the variance of true scores may be."""
    log_likelihood: FloatArray
    """(spreads,): of the scores, without the constant."""
    log_weight: FloatArray
    """(spreads,): prior x likelihood."""
    log_evidence: float
    """Of the covariance: the sum of the weights."""


def _fit(value: FloatArray, covariance: FloatArray) -> _Fit:
    contrast = helmert(len(value))
    error, turn = np.linalg.eigh(_errors(contrast, value, covariance))
    basis = turn.T @ contrast
    seen = basis @ value
    relative = np.geomspace(_SMALLEST, _LARGEST, _SPREADS)
    spread = error.mean() * relative
    variance = error + spread[:, None]
    # the prior's density of log spread if 1 / (1 + relative) is uniform
    log_prior = np.log(relative) - 2 * np.log1p(relative)
    log_likelihood = -0.5 * (np.log(variance) + seen**2 / variance).sum(axis=1)
    log_weight = log_prior + log_likelihood
    return _Fit(basis, seen, error, spread, log_likelihood, log_weight, float(logsumexp(log_weight)))


def _errors(contrast: FloatArray, value: FloatArray, covariance: FloatArray) -> FloatArray:
    """(contrasts, contrasts): covariance of their errors. None is without any: too little to matter, enough to divide
    by, also where encoders are the same or no score has an error."""
    found: FloatArray = contrast @ covariance @ contrast.T
    of_errors = max(1e-9 * float(np.trace(found)), 1e-12 * float(np.trace(covariance)))
    least = max(of_errors, 1e-18 * float(np.ptp(value)) ** 2, 1e-100)
    return found + least * np.eye(len(contrast))


class Pair(NamedTuple):
    """Draws of the true scores of the same encoders in two settings, each (draws, encoders), around their means."""

    x: FloatArray
    y: FloatArray


_SPREADS_EACH = 7
_AGREEMENTS = 16


def true_scores_of_two(
    x: Estimates,
    y: Estimates,
    draws: int,
    random: np.random.Generator,
    *,
    covariances: Sequence[FloatArray] | None = None,
) -> Pair:
    """As `true_scores`, for two settings at once, both with the same encoders in the same order.

    True scores are correlated between the settings, by a correlation that is learnt from the scores too: if each
    setting's were drawn by itself, they would agree by chance only, as far as they are uncertain. The prior is uniform
    in the tau that a correlation r stands for, 2 / pi arcsin r.

    Args:
        x, y: the settings.
        draws: how many.
        random: what they are made of.
        covariances: `joint_error_covariances(x, y)`, if they are known already.
    """
    count = len(x.value)
    contrast = helmert(count)
    seen = np.concatenate([contrast @ x.value, contrast @ y.value])
    both = np.kron(np.eye(2), contrast)
    agreements = np.sin(np.pi / 2 * ((2 * np.arange(_AGREEMENTS) + 1) / _AGREEMENTS - 1))
    errors, evidence, priors = [], [], []
    for joint in covariances or joint_error_covariances(x, y):
        error_x, error_y = joint[:count, :count], joint[count:, count:]
        fit_x, fit_y = _fit(x.value, error_x), _fit(y.value, error_y)
        error = both @ joint @ both.T
        error[: count - 1, : count - 1] = _errors(contrast, x.value, error_x)
        error[count - 1 :, count - 1 :] = _errors(contrast, y.value, error_y)
        at_x, at_y = _evenly(fit_x), _evenly(fit_y)
        grid = np.stack(np.meshgrid(at_x, at_y, np.arange(_AGREEMENTS), indexing="ij"), axis=-1).reshape(-1, 3)
        spread_x, spread_y = fit_x.spread[grid[:, 0]], fit_y.spread[grid[:, 1]]
        across = agreements[grid[:, 2]] * np.sqrt(spread_x * spread_y)
        prior = np.stack([spread_x, across, across, spread_y], axis=1).reshape(-1, 2, 2)
        # spreads come in proportion to what each setting says by itself: the weight is what both say beyond that
        apart = fit_x.log_likelihood[grid[:, 0]] + fit_y.log_likelihood[grid[:, 1]]
        errors.append(error)
        priors.append(prior)
        evidence.append(
            PairedNormals(error, prior).log_likelihood(seen) - apart + fit_x.log_evidence + fit_y.log_evidence
        )
    weight = np.exp(np.stack(evidence) - np.max(evidence))
    chosen = random.choice(weight.size, draws, p=weight.ravel() / weight.sum())
    found = np.empty((draws, 2 * (count - 1)))
    for stratum, node in enumerate(np.array_split(np.arange(weight.size), len(errors))):
        mine = np.flatnonzero((chosen >= node[0]) & (chosen <= node[-1]))
        found[mine] = _conditional(seen, errors[stratum], priors[stratum][chosen[mine] - node[0]], random)
    return Pair(found[:, : count - 1] @ contrast, found[:, count - 1 :] @ contrast)


def _evenly(fit: _Fit) -> NDArray[np.intp]:
    """Spreads between which there is as much posterior weight each."""
    weight = np.exp(fit.log_weight - fit.log_weight.max()).cumsum()
    found: NDArray[np.intp] = np.searchsorted(weight, (np.arange(_SPREADS_EACH) + 0.5) / _SPREADS_EACH * weight[-1])
    return found


def _conditional(seen: FloatArray, error: FloatArray, prior: FloatArray, random: np.random.Generator) -> FloatArray:
    """(draws, 2 x contrasts): one draw of the true contrasts for each prior (draws, 2, 2).

    A draw from the prior, moved by what a draw of scores made from it lacks of the scores seen (Matheron's rule).
    """
    draws, half = len(prior), len(seen) // 2
    values, vectors = np.linalg.eigh(error)
    noise = random.standard_normal((draws, len(seen))) * np.sqrt(np.maximum(values, 0)) @ vectors.T
    true = np.einsum("nij,njk->nik", np.linalg.cholesky(prior), random.standard_normal((draws, 2, half)))
    true = true.reshape(draws, 2 * half)
    moved = PairedNormals(error, prior).solve(seen - true - noise)
    found: FloatArray = true + np.einsum("nij,njk->nik", prior, moved.reshape(draws, 2, half)).reshape(true.shape)
    return found
