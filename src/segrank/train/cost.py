"""What a run costs: counted once on shapes, measured as it goes."""

from __future__ import annotations

import copy
import math
import resource
import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from segrank.train.segmenter import Segmenter

Shape = Sequence[int]


class Shapes(NamedTuple):
    """What can be known of a segmenter without computing anything."""

    forward_flops: int | None
    """Of one crop in evaluation, a multiply-add as 2; none for a module that cannot run on the meta device."""
    train_flops: int | None
    """Of one crop, forward and backward."""
    without_gradient: tuple[str, ...]
    """Trainable parameters that the loss does not depend on."""


def count_shapes(segmenter: Segmenter, crop: tuple[int, int]) -> Shapes:
    """Count on the meta device, where nothing is computed.

    Attention runs under its math backend: torch's counter leaves out the CPU's fused one.
    """
    try:
        shapes = copy.deepcopy(segmenter).to("meta").train()
        # the counter asks for the graph of what needs a gradient, such as a view of a parameter; here is none
        inference = copy.deepcopy(shapes).eval().requires_grad_(False)
        images = torch.empty((1, 3, *crop), dtype=torch.uint8, device="meta")
        labels = torch.empty((1, *crop), dtype=torch.uint8, device="meta")
        with sdpa_kernel(SDPBackend.MATH):
            with torch.no_grad(), FlopCounterMode(display=False) as forward:
                inference.output(images)
            with FlopCounterMode(display=False, custom_mapping=_FLOPS) as both:
                shapes(images, labels).sum().backward()
    except Exception:  # a user's own encoder may do anything
        return Shapes(None, None, ())
    trained = [(name, p) for name, p in shapes.named_parameters() if p.requires_grad]
    return Shapes(
        forward.get_total_flops(), both.get_total_flops(), tuple(name for name, p in trained if p.grad is None)
    )


def _convolution_backward(
    gradient: Shape, x: Shape, weight: Shape, bias: object, stride: object, padding: object, dilation: object,
    transposed: bool, output_padding: object, groups: int, wanted: Sequence[bool], **_: object,
) -> int:  # fmt: skip
    """As much as forward for the input, and for the weight. torch's own count of the latter forgets the groups."""
    places = x if transposed else gradient
    return 2 * x[0] * math.prod(places[2:]) * math.prod(weight) * sum(wanted[:2])


_FLOPS = {torch.ops.aten.convolution_backward: _convolution_backward}


def peak_host_gib() -> float:
    """Largest resident memory of this process so far."""
    # kilobytes on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def peak_device_gib(device: torch.device) -> float | None:
    """Largest memory that tensors took on a GPU since its statistics were reset."""
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
