"""Class scores of pixels from the masks of queries, a few rows at a time.

The plain way upsamples all masks to the image: queries x pixels numbers, several times over. Here some rows of them are
upsampled, become probabilities, and are added up to scores by a product of matrices before the next ones come.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from segrank.bilinear import Rows, write_rows
from segrank.decoders.mask_output import MaskOutput

_STRIP_BYTES, _STRIP_BYTES_GPU = 2**23, 2**26
"""Of upsampled masks. On a CPU a common cache holds them beside the scores, and strips are few: at each our threads and
torch's relieve each other, which wait for work by keeping a core busy. A GPU takes some ten kernels for each."""


def mask_scores(output: MaskOutput, image: int) -> Rows:
    """The scores of one image of a batch, from the last output layer.

    A class's score at a pixel is the sum over queries of a query's probability of the class times the probability that
    the pixel is in its mask: softmax over classes and "no object", which is then left out, and sigmoid of the mask's
    logits, upsampled (bilinear, corners not aligned, no antialias). All in float32.

    Returns:
        What computes some rows of them.
    """
    of_classes = output.classes[-1, image].detach().float().softmax(1)[:, :-1].T.contiguous()  # classes queries
    return partial(_write_rows, of_classes, output.masks[-1, image].detach().float())


def _write_rows(of_classes: Tensor, masks: Tensor, size: tuple[int, int], rows: slice, out: Tensor) -> None:
    """As `Rows`."""
    queries, width = len(masks), size[1]
    limit = _STRIP_BYTES if masks.device.type == "cpu" else _STRIP_BYTES_GPU
    tall = min(max(1, limit // (4 * queries * width)), rows.stop - rows.start)
    strip = masks.new_empty(queries * tall * width)
    for top in range(rows.start, rows.stop, tall):
        part = slice(top, min(top + tall, rows.stop))
        inside = strip[: queries * (part.stop - top) * width].view(queries, -1, width)
        write_rows(masks, size, part, inside)
        scores = out[:, top - rows.start : part.stop - rows.start]
        torch.mm(of_classes, inside.sigmoid_().flatten(1), out=scores.view(len(scores), -1))
