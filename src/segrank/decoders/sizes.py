"""How large the mask decoders are. No torch: planning counts with it."""

from __future__ import annotations

import math

QUERIES = 100
"""Masks that a decoder predicts for an image: Mask2Former's and EoMT's number."""

WIDTH = 256
"""Of Mask2Former's tokens and queries, as the next three (arXiv 2112.01527)."""
HEADS = 8
HIDDEN = 2048
"""Of a feed-forward network."""
BLOCKS = 9


def shared_blocks(depth: int) -> int:
    """Of a transformer with `depth` blocks, how many the queries take part in: 3 of 12, 4 of 24, 5 of 40.

    These are the paper's, for ViT-S and B, L, and g; in between as many as for the next smaller one. One block at least
    stays without queries.
    """
    return min(3 + (depth >= 24) + (depth >= 40), depth - 1)


def doublings(patch_size: int) -> int:
    """How often the grid of patches is doubled for the masks: up to 4 pixels a sample, but once at least."""
    return max(1, int(math.log2(patch_size)) - 2)
