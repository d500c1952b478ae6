"""Collapse: features that no longer tell one patch from another, or outputs that no longer tell images. No torch."""

from __future__ import annotations

import math

from segrank.pretrain.record import Health
from segrank.pretrain.spec import PretrainSpec

LEAST_RANK = 4.0
"""Effective rank below which features have collapsed: whatever is left, a linear head has hardly anything to use."""
LEAST_SPREAD = 0.01
NOTHING_LEARNT = 0.99
"""Share of the loss of outputs that are all alike, from which on they are."""
PATIENCE = 0.25
"""Share of the steps in which such a loss is no bad sign yet."""
REMEDIES = {
    "self-distillation": "lower lr, raise teacher_momentum or batch_size",
    "abstract-mim": "lower lr, raise teacher_momentum, or mask less",
    "contrastive": "raise batch_size or temperature, or lower lr",
}
"""Objective -> what usually helps; of the others lr alone is to blame."""


def loss_of_alike(spec: PretrainSpec) -> float | None:
    """The loss of outputs that are the same for every image, in objectives that nothing else keeps from that: the
    entropy of a uniform output (DINO, arXiv 2104.14294, section 5.3), or of one among 2 n - 1 that are equally near
    (SimCLR, arXiv 2002.05709, equation 1)."""
    if spec.objective == "self-distillation":
        return math.log(spec.prototypes)
    return math.log(2 * spec.batch_size - 1) if spec.objective == "contrastive" else None


def warning(found: Health, spec: PretrainSpec) -> str:
    """What is wrong and what to do, or nothing. Before the first step nothing is wrong."""
    if not found.step:
        return ""
    remedy = REMEDIES.get(spec.objective, "lower lr, or raise warmup")
    if found.rank < LEAST_RANK or found.spread < LEAST_SPREAD:
        return (
            f"features have collapsed at step {found.step}: effective rank {found.rank:.1f}, "
            f"spread {found.spread:.3f}; {remedy}"
        )
    alike = loss_of_alike(spec)
    if alike is None or found.loss is None or found.step < PATIENCE * spec.steps or found.loss < NOTHING_LEARNT * alike:
        return ""
    return (
        f"outputs are the same for every image at step {found.step}: the loss is {found.loss:.3f}, and that of such "
        f"outputs {alike:.3f}; {remedy}"
    )
