"""Floating point operations, counted."""

from __future__ import annotations

import copy

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from segrank.train.segmenter import Segmenter


def count_flops(segmenter: Segmenter, crop: tuple[int, int]) -> tuple[int, int] | tuple[None, None]:
    """(forward, forward and backward) of one crop; a multiply-add counts as 2.

    Counted on the meta device, where nothing is computed, and under the math backend of attention: torch's
    counter leaves out the CPU's fused one. None for a module that cannot run there.
    """
    try:
        shape_only = copy.deepcopy(segmenter).to("meta").train()
        images = torch.empty((1, 3, *crop), dtype=torch.uint8, device="meta")
        labels = torch.empty((1, *crop), dtype=torch.uint8, device="meta")
        with sdpa_kernel(SDPBackend.MATH):
            with torch.no_grad(), FlopCounterMode(display=False) as forward:
                shape_only.logits(images)
            with FlopCounterMode(display=False) as both:
                shape_only(images, labels).sum().backward()
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return None, None
    return forward.get_total_flops(), both.get_total_flops()
