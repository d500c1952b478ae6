"""AdamW with two learning rates, and their schedule."""

from __future__ import annotations

import torch
from torch.optim import AdamW, Optimizer

from segrank.train.segmenter import Segmenter


def adamw(segmenter: Segmenter, *, lr: float, encoder_lr_multiplier: float, weight_decay: float) -> AdamW:
    """AdamW over every trained parameter: the encoder at `lr * encoder_lr_multiplier`, all others at `lr`.

    Weight decay is on all of them, norms, biases and positions included (arXiv 2404.12172's set-up).
    """
    encoder = [p for p in segmenter.encoder.parameters() if p.requires_grad]
    others = [p for name, p in segmenter.named_parameters() if not name.startswith("encoder.") and p.requires_grad]
    groups = [
        {"params": parameters, "lr": rate, "initial_lr": rate}
        for parameters, rate in ((encoder, lr * encoder_lr_multiplier), (others, lr))
        if parameters
    ]
    trained = {id(p) for p in segmenter.parameters() if p.requires_grad}
    assert sorted(id(p) for p in (*encoder, *others)) == sorted(trained), "groups must partition the parameters"
    return AdamW(groups, weight_decay=weight_decay, fused=True)


def poly(step: int, steps: int, power: float) -> float:
    """Share of the initial learning rate at optimiser step `step` of `steps`, counted from 0."""
    return float((1 - step / steps) ** power)


def set_lr(optimizer: Optimizer, share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * share


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA has a class for it; the CPU's allocator raises a RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
