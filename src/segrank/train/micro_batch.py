"""How many images go through the network at once where nobody says. No torch: planning asks for it."""

from __future__ import annotations

_CPU_PIXELS = 2**19
"""In a micro-batch on a CPU: more of them only cost memory."""


def usual_micro_batch(share: int, crop: tuple[int, int], device: str) -> int:
    """Images per forward pass on one device: on a GPU all that it is to do; training halves it when memory runs out.

    Args:
        share: images of the effective batch that are this device's.
        crop: height and width, pixels.
        device: `cpu` or `cuda`.
    """
    return min(share, max(1, _CPU_PIXELS // (crop[0] * crop[1]))) if device == "cpu" else share
