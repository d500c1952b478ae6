"""The demo: small encoders from random weights, end-to-end, on generated scenes. Not the paper's protocol."""

from __future__ import annotations

from segrank.encoders.small import SMALL
from segrank.spec import RunSpec

DATASET = "scenes?size=96&train=2000&val=60"


def demo() -> list[RunSpec]:
    """Three encoders under one miniature protocol that two CPU cores bear."""
    return [
        RunSpec(
            encoder=f"small:{name}",
            weights="random",
            dataset=DATASET,
            crop=(96, 96),
            patch_size=8,
            steps=200,
            batch_size=16,
            lr=2e-3,
            encoder_lr_multiplier=1.0,
        )
        for name in SMALL
    ]
