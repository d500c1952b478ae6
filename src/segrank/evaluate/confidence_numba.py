"""The best class's share of all classes' scores, on a CPU: what the labels' kernel does besides, if it is asked to.

Both sums are kept while the classes pass by, one after the other, so that no pixel's scores are ever held together.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from segrank.compiled import compiled, fma

Floats = NDArray[np.float32]

_LOG2_E = np.float32(math.log2(math.e))
_LEAST = np.float32(-87.0)
"""Of an exponent: e to it is the smallest that float32 holds with all its digits, and nothing beside 1."""
_ROUND = np.float32(1.5 * 2**23)
"""Added to a small number it leaves no digits behind the point."""
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(math.log(2) ** k / math.factorial(k)) for k in range(1, 7))
"""2^x = 1 + C1 x + C2 x^2 + ...; what follows the sixth is less than 1.2e-7 for |x| up to 1/2."""


def _power(typing_context: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, bias = (context.get_constant(types.int32, value) for value in (23, 127 << 23))
        shifted = builder.fadd(arguments[0], context.get_constant(types.float32, float(_ROUND)))
        # the whole number stands in the lowest bits; an exponent, biased by 127, begins at bit 23
        bits = builder.bitcast(shifted, context.get_value_type(types.int32))
        return builder.bitcast(builder.add(builder.shl(bits, place), bias), context.get_value_type(types.float32))

    return types.float32(types.float32), generate


_power_of_nearest = cast(Any, intrinsic(_power))
"""2 to the whole number nearest to a float32 from -126 to 127."""


@compiled
def add_best(
    label: int,
    source: Floats,
    above: int,
    below: int,
    of_above: np.float32,
    of_below: np.float32,
    count: int,
    all_best: Floats,
    all_winners: NDArray[np.uint8],
    at: int,
    all_sums: Floats,
    logits: bool,
) -> None:
    """As the labels' `_compete`, with the same scores; adds each to its pixel's sum.

    The sum is of e^(score - best score so far) if scores are logits, and is scaled whenever the best changes.
    """
    upper, lower = source[above : above + count], source[below : below + count]
    best, winner, total = all_best[at : at + count], all_winners[at : at + count], all_sums[at : at + count]
    if label == 0:
        best[:] = -np.inf
        total[:] = 0
    for i in range(count):
        score = fma(of_above, upper[i], of_below * lower[i])
        better = score > best[i]
        if logits:
            x = best[i] - score if better else score - best[i]
            scaled = max(x, _LEAST) * _LOG2_E
            part = scaled - ((scaled + _ROUND) - _ROUND)
            power = fma(fma(fma(fma(fma(_C6, part, _C5), part, _C4), part, _C3), part, _C2), part, _C1)
            smaller = fma(power, part, np.float32(1)) * _power_of_nearest(scaled)
            total[i] = fma(total[i], smaller, np.float32(1)) if better else total[i] + smaller
        else:
            total[i] += score
        best[i] = score if better else best[i]
        winner[i] = label if better else winner[i]


@compiled
def share_of_best(
    best: Floats, total: Floats, places: NDArray[np.int64], classes: int, logits: bool, out: Floats
) -> None:
    """A row's confidences, from its slots' best scores and sums."""
    for column in range(len(places)):
        slot = places[column]
        if logits:
            out[column] = np.float32(1) / total[slot]
        elif total[slot] > 0:
            out[column] = best[slot] / total[slot]
        else:  # no class has any score
            out[column] = np.float32(1) / np.float32(classes)
