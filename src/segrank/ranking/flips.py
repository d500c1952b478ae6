"""Pairs of encoders that are in one order in one setting and in the other in another, and whether really."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.intervals import Estimates
from segrank.ranking.ranks import holm, merit, pairwise, two_sided

MOST_FLIPS = 1_000
"""That are listed; of 1,500 encoders half a million may flip."""


@dataclass(frozen=True)
class Flip:
    """Two encoders in one order in x, in the other in y. `a` is the one that x has ahead."""

    a: str
    b: str
    difference_x: float
    difference_y: float
    p_value: float | None
    """Of no flip: the larger of the two differences' p-values, Holm over all pairs."""
    probability: float | None
    """That the true orders differ here."""
    verdict: Literal["real", "not settled", "unknown"]
    """real: both orders are established; not settled: noise may have made it; unknown: there are no intervals."""


class Flips(NamedTuple):
    listed: tuple[Flip, ...]
    number: int
    real: int


def flips(x: Estimates, y: Estimates, products: NDArray[np.int8] | None, level: float) -> Flips:
    """
    Args:
        x, y: the same encoders in the same order.
        products: (pairs, draws): -1 where a draw of the true scores has the pair in different orders.
        level: that both orders are established with.
    """
    a, b = np.triu_indices(len(x.encoders), 1)
    apart_x, apart_y = (of[a] - of[b] for of in (merit(x), merit(y)))
    flipped = np.sign(apart_x) * np.sign(apart_y) < 0
    adjusted = None
    if x.covers and y.covers:
        # a flip is both orders at once: as unlikely by chance as the less certain of them
        p = np.maximum(*(two_sided(pairwise(of))[a, b] for of in (x, y)))
        adjusted = holm(np.where(flipped, p, 1.0))
    at = np.flatnonzero(flipped)
    if not at.size:
        return Flips((), 0, 0)
    marked = np.minimum(*(np.abs(apart[at]) / of.value.std() for apart, of in ((apart_x, x), (apart_y, y))))
    order = np.lexsort((-marked, np.zeros(len(at)) if adjusted is None else adjusted[at]))
    found = []
    for pair in at[order][:MOST_FLIPS].tolist():
        first, second = (a[pair], b[pair]) if apart_x[pair] > 0 else (b[pair], a[pair])
        p_value = None if adjusted is None else float(adjusted[pair])
        found.append(
            Flip(
                a=x.encoders[first],
                b=x.encoders[second],
                difference_x=float(x.value[first] - x.value[second]),
                difference_y=float(y.value[first] - y.value[second]),
                p_value=p_value,
                probability=None if products is None else float((products[pair] < 0).mean()),
                verdict="unknown" if p_value is None else "real" if p_value <= 1 - level else "not settled",
            )
        )
    real = 0 if adjusted is None else int((adjusted[at] <= 1 - level).sum())
    return Flips(tuple(found), len(at), real)
