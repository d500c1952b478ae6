"""Small encoders for demonstrations and tests: timm's own architectures, cut down. No torch.

Three have no pretrained weights; trained from random ones they differ in what they can learn. `shallow` has
one block, so one round of exchange between patches; `plain` has four; `rope` has four with rotary
positions and SwiGLU, and no table of absolute ones. Numbers of parameters are for 16x16 patches at a crop of
64x64.

The others are one architecture, and their weights come with segrank: one seed of each objective of `segrank pretrain`,
from the study `objectives-miniature`. `floor` is the same without pretraining, so it has random weights.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "small_weights"
"""NAME-0.safetensors with NAME-0.card.json, as `segrank pretrain objectives-miniature --into` writes them."""
ARCHITECTURE = "timm:vit_tiny_patch16_224?embed_dim=128&depth=6&num_heads=4"  # 1.3 M parameters
OBJECTIVES = ("supervised", "pixel-mim", "abstract-mim", "self-distillation", "contrastive", "promptable")
"""`small:NAME` of those with pretrained weights."""

SMALL = {
    "shallow": "timm:vit_tiny_patch16_224?embed_dim=128&depth=1&num_heads=4",  # 0.3 M parameters
    "plain": "timm:vit_tiny_patch16_224?embed_dim=128&depth=4&num_heads=4",  # 0.9 M
    "rope": "timm:eva02_tiny_patch14_224?embed_dim=128&depth=4&num_heads=4&use_abs_pos_emb=false"
    "&use_fc_norm=false",  # 0.9 M; the option keeps the final norm on the tokens
    "floor": ARCHITECTURE,
    **dict.fromkeys(OBJECTIVES, ARCHITECTURE),
}
"""`small:NAME` -> the reference that it stands for."""


def small_weights(encoder: str) -> Path | None:
    """The file with the pretrained weights of `small:NAME`; none for other encoders, and those without."""
    scheme, _, name = encoder.partition(":")
    return FOLDER / f"{name}-0.safetensors" if scheme == "small" and name in OBJECTIVES else None
