"""Likelihoods and solutions of two settings at once, beside those of the whole matrices."""

from __future__ import annotations

import numpy as np
from scipy import stats

from segrank.ranking.paired_normals import PairedNormals


def test_it_is_as_the_whole_covariances_say() -> None:
    random = np.random.default_rng(0)
    n = 5
    root = random.standard_normal((2 * n, 2 * n))
    errors = root @ root.T + np.eye(2 * n)
    variances, correlations = random.uniform(0.1, 9, (6, 2)), random.uniform(-0.99, 0.99, 6)
    variances[3, 0] = variances[0, 0]  # two priors that have one variance in common
    across = correlations * np.sqrt(variances.prod(axis=1))
    prior = np.stack([variances[:, 0], across, across, variances[:, 1]], axis=1).reshape(-1, 2, 2)
    whole = [errors + np.kron(one, np.eye(n)) for one in prior]
    seen, values = random.standard_normal(2 * n), random.standard_normal((6, 2 * n))
    known = [stats.multivariate_normal(cov=one).logpdf(seen) + n * np.log(2 * np.pi) for one in whole]
    found = PairedNormals(errors, prior)
    np.testing.assert_allclose(found.log_likelihood(seen), known)
    np.testing.assert_allclose(
        found.solve(values), [np.linalg.solve(one, of) for one, of in zip(whole, values, strict=True)]
    )
