"""The best class of every pixel in a tile, in torch alone: on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from segrank.bilinear import Taps, blended
from segrank.evaluate.mosaic import Confidence, Filled, Mosaic
from segrank.evaluate.windows import Limits

UPSAMPLES = False
_TILE_BYTES = 2**28
"""Few large tiles: each takes some twenty kernels."""


def limits(mosaic: Mosaic, classes: int, *, upsampled: bool) -> Limits:
    """Of a tile's windows' scores and their average, and of its own scores while they are blended and compared.

    Tiles are cut where a CPU has rows lie. A GPU that rounds otherwise may have them one further: hence the margin.
    """
    own = 4 * 3 * classes * mosaic.own[1]
    resized = 4 * (mosaic.row_values(classes) + classes * (mosaic.resized[1] + 3 * mosaic.own[1]))
    return Limits(own=_TILE_BYTES // own, resized=_TILE_BYTES // resized, margin=1)


def label_tile(filled: Filled, mosaic: Mosaic, labels: Tensor, confidence: Confidence | None) -> Tensor:
    """As `labels_numba.label_tile`; nothing is waited for."""
    (own, resized), pieces, *_ = filled
    first = resized.start
    merged = labels.new_zeros(
        (len(pieces[0].scores), resized.stop - first, len(mosaic.column_shares)), dtype=torch.float32
    )
    for rows, left, scores in pieces:
        merged[:, rows.start - first : rows.stop - first, left : left + scores.shape[2]] += scores
    merged *= mosaic.row_shares[resized, None]
    merged *= mosaic.column_shares
    above, below, of_above, of_below = mosaic.rows.part(own)
    wide = blended(merged, mosaic.columns, 2)
    tall = blended(wide, Taps(above - first, below - first, of_above, of_below), 1)  # classes rows width
    labels[own] = tall.argmax(0).to(torch.uint8)
    if confidence is not None:
        best = tall.amax(0)
        if confidence.logits:
            confidence.share[own] = tall.sub_(best).exp_().sum(0).reciprocal_()
        else:
            share = best / tall.sum(0)
            confidence.share[own] = share.nan_to_num_(1 / len(tall))  # no class has any score
    return merged.isfinite().all()
