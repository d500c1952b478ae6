"""Small encoders for demonstrations and tests: timm's own architectures, cut down. No torch.

Three are architectures without weights; trained from random ones they differ in what they can learn. `shallow`
has one block, so one round of exchange between patches; `plain` has four; `rope` has four with rotary
positions and SwiGLU, and no table of absolute ones. Numbers of parameters are for 16x16 patches at a crop of
64x64.

The others share one architecture and come with their weights (docs/objectives.md): seed 0 of each objective of
the study `objectives-miniature`, and `none`, the random weights that all of these began with.
"""

from __future__ import annotations

from pathlib import Path

ARCHITECTURES = {
    "shallow": "timm:vit_tiny_patch16_224?embed_dim=128&depth=1&num_heads=4",  # 0.3 M parameters
    "plain": "timm:vit_tiny_patch16_224?embed_dim=128&depth=4&num_heads=4",  # 0.9 M
    "rope": "timm:eva02_tiny_patch14_224?embed_dim=128&depth=4&num_heads=4&use_abs_pos_emb=false"
    "&use_fc_norm=false",  # 0.9 M; the option keeps the final norm on the tokens
}
PRETRAINED = (
    "supervised", "pixel-mim", "abstract-mim", "self-distillation", "contrastive", "promptable", "none",
)  # fmt: skip
SMALL = {
    **ARCHITECTURES,
    **dict.fromkeys(PRETRAINED, "timm:vit_tiny_patch16_224?embed_dim=128&depth=6&num_heads=4"),  # 1.3 M
}
"""`small:NAME` -> the reference that it stands for."""

_WEIGHTS = Path(__file__).parent / "small_weights"


def small_weights(encoder: str) -> Path | None:
    """The file with the pretrained weights of `small:NAME`; none for other encoders, and those without."""
    scheme, _, name = encoder.partition(":")
    return _WEIGHTS / f"{name}-0.safetensors" if scheme == "small" and name in PRETRAINED else None
