"""How large the windows are in which most blocks of SAM's image encoder attend. No torch: planning counts with it."""

from __future__ import annotations

NATIVE_WINDOW = 14
"""Side of a window on the native grid, in all of timm's models (`window_size` in its vision_transformer_sam.py)."""


def window_size(longer: int, native: int = 64) -> int:
    """Side of a window for the longer side of a grid, both in patches.

    >>> window_size(32), window_size(64), window_size(16), window_size(37)
    (7, 14, 4, 8)
    """
    return max(1, (2 * NATIVE_WINDOW * longer + native) // (2 * native))  # half rounds up
