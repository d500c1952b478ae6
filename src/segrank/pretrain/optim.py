"""The optimiser of a pretraining and its learning rate over the steps."""

from __future__ import annotations

import math

import torch
from torch import nn


def lr_share(step: int, steps: int, warmup: float) -> float:
    """Share of the largest learning rate at optimiser step `step` of `steps`, counted from 0: a linear rise over the
    first `warmup` of them, then a cosine to 0."""
    rise = warmup * steps
    if step < rise:
        return (step + 1) / math.ceil(rise)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def adamw(module: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Weight decay on matrices alone: not on norms, biases, tokens and positions."""
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    decayed = [p for name, p in trained if p.ndim > 1 and "token" not in name and "pos_embed" not in name]
    chosen = {id(p) for p in decayed}
    others = [p for _, p in trained if id(p) not in chosen]
    groups = [
        {"params": parameters, "weight_decay": decay, "lr": lr, "initial_lr": lr}
        for parameters, decay in ((decayed, weight_decay), (others, 0.0))
    ]
    return torch.optim.AdamW(groups, fused=True)
