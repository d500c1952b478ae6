"""Normal values in two settings at once: covariances that differ in two variances and a correlation only. No torch.

Each is `errors + prior x I`: a covariance of errors (2 n, 2 n), the same for all, and a prior (2, 2) of what is alike
and independent over the n values. The first setting is eliminated once for each of its few variances; what is left to
factorise for a prior is (n, n), an eighth of the work on the whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtri

FloatArray = NDArray[np.float64]


class PairedNormals:
    """
    Args:
        errors: (2 n, 2 n), positive definite.
        prior: (nodes, 2, 2).
    """

    def __init__(self, errors: FloatArray, prior: FloatArray) -> None:
        self.n = len(errors) // 2
        self.errors, self.prior = errors, prior

    def _eliminated(self) -> Iterator[tuple[NDArray[np.intp], FloatArray, FloatArray, FloatArray]]:
        """Of each variance of the first setting: which nodes have it, the root of its covariance, and that root's
        inverse times the errors that both settings share, and by itself."""
        n = self.n
        variances, which = np.unique(self.prior[:, 0, 0], return_inverse=True)
        for at, variance in enumerate(variances.tolist()):
            root = np.linalg.cholesky(self.errors[:n, :n] + variance * np.eye(n))
            inverse, _ = dtrtri(root, lower=1)
            yield np.flatnonzero(which == at), root, inverse @ self.errors[:n, n:], inverse

    def _left(self, nodes: NDArray[np.intp], shared: FloatArray, inverse: FloatArray) -> FloatArray:
        """(nodes, n, n): the covariance of the second setting, given the first."""
        n = self.n
        terms = [np.eye(n), -(shared.T @ inverse + inverse.T @ shared), -(inverse.T @ inverse)]
        across = self.prior[nodes, 0, 1]
        factors = np.stack([self.prior[nodes, 1, 1], across, across**2], axis=1)
        moving = (factors @ np.stack(terms).reshape(3, n * n)).reshape(-1, n, n)
        return np.asarray(self.errors[n:, n:] - shared.T @ shared + moving)

    def log_likelihood(self, seen: FloatArray) -> FloatArray:
        """(nodes,) of values (2 n,), without the constant."""
        first, second = np.split(seen, 2)
        count, n = len(self.prior), self.n
        of_first, left, rest = np.empty(count), np.empty((count, n, n)), np.empty((count, n))
        for nodes, root, shared, inverse in self._eliminated():
            whitened = inverse @ first
            of_first[nodes] = -np.log(np.diagonal(root)).sum() - 0.5 * (whitened @ whitened)
            left[nodes] = self._left(nodes, shared, inverse)
            rest[nodes] = second - shared.T @ whitened - self.prior[nodes, 0, 1, None] * (inverse.T @ whitened)
        log_root, square = _log_root_and_square(left, rest)
        return np.asarray(of_first - log_root - 0.5 * square)

    def solve(self, values: FloatArray) -> FloatArray:
        """(nodes, 2 n): the inverse of each node's covariance times its values (nodes, 2 n)."""
        found = np.empty(values.shape)
        for nodes, _, shared, inverse in self._eliminated():
            first, second = np.split(values[nodes], 2, axis=1)
            across = self.prior[nodes, 0, 1, None]
            whitened = first @ inverse.T
            rest = second - whitened @ shared - across * (whitened @ inverse)
            of_second = np.linalg.solve(self._left(nodes, shared, inverse), rest[..., None])[..., 0]
            whitened -= of_second @ shared.T + across * (of_second @ inverse.T)
            found[nodes, : self.n], found[nodes, self.n :] = whitened @ inverse, of_second
        return found


def _log_root_and_square(covariance: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(nodes,) each: half the log of the determinant, and values' square in units of the covariance."""
    root = np.linalg.cholesky(covariance)
    whitened = np.empty(values.shape)
    for row in range(values.shape[1]):
        known = np.einsum("ni,ni->n", root[:, row, :row], whitened[:, :row])
        whitened[:, row] = (values[:, row] - known) / root[:, row, row]
    return np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1), (whitened**2).sum(axis=1)
