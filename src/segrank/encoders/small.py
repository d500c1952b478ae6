"""Small encoders for demonstrations and tests: timm's own architectures, cut down.

They have no published weights; trained from random ones they differ in what they can learn. `shallow` has
one block, so one round of exchange between patches; `plain` has four; `rope` has four with rotary
positions and SwiGLU, and no table of absolute ones. Numbers of parameters are for 16x16 patches at a crop of
64x64.
"""

from __future__ import annotations

SMALL = {
    "shallow": "timm:vit_tiny_patch16_224?embed_dim=128&depth=1&num_heads=4",  # 0.3 M parameters
    "plain": "timm:vit_tiny_patch16_224?embed_dim=128&depth=4&num_heads=4",  # 0.9 M
    "rope": "timm:eva02_tiny_patch14_224?embed_dim=128&depth=4&num_heads=4&use_abs_pos_emb=false"
    "&use_fc_norm=false",  # 0.9 M; the option keeps the final norm on the tokens
}
"""`small:NAME` -> the reference that it stands for."""
