"""Does the gradient reach every parameter, whole?"""

from __future__ import annotations

import torch

from segrank.encoders.checks.report import Finding
from segrank.encoders.checks.subject import Subject, pictures
from segrank.encoders.encoder import Encoder


def check_gradient(subject: Subject, encoder: Encoder) -> Finding:
    """Run backward through the features as end-to-end training does, with every parameter trainable."""
    encoder.requires_grad_(True)
    encoder.zero_grad(set_to_none=True)
    features = encoder(pictures(1, encoder.crop, subject.device))
    # a plain sum would not do: behind a LayerNorm its gradient is 0
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(0)).to(subject.device)
    if features.requires_grad:
        (features * weights).mean().backward()
    parameters = dict(encoder.backbone.named_parameters())
    dead = [name for name, parameter in parameters.items() if parameter.grad is None]
    zero = [n for n, p in parameters.items() if p.grad is not None and not bool(p.grad.any())]
    broken = [n for n, p in parameters.items() if p.grad is not None and not bool(torch.isfinite(p.grad).all())]
    encoder.zero_grad(set_to_none=True)
    measured: dict[str, float] = {
        "parameters": len(parameters),
        "without": len(dead),
        "zero": len(zero),
        "not_finite": len(broken),
    }
    if dead:
        return Finding(
            name="gradient",
            status="wrong",
            evidence=f"{len(dead)} of {len(parameters)} parameters get no gradient: {named(dead)}",
            advice="what stands before a detach(), a no_grad() or a conversion to numpy is never trained, and what "
            "is never called is idle: take the one out of the way, and the other out of the model",
            measured=measured,
        )
    if broken:
        return Finding(
            name="gradient",
            status="wrong",
            evidence=f"the gradient of {len(broken)} of {len(parameters)} parameters is not finite: {named(broken)}",
            advice="look for a square root or a division at 0",
            measured=measured,
        )
    if zero:
        return Finding(
            name="gradient",
            status="unsure",
            evidence=f"the gradient of {len(zero)} of {len(parameters)} parameters is exactly 0 on one picture: "
            f"{named(zero)}",
            advice="they may be switched off by a gate that starts at 0, or by a ReLU; if not, they are not trained",
            measured=measured,
        )
    return Finding(
        name="gradient", status="ok", evidence=f"reaches all {len(parameters)} parameters", measured=measured
    )


def named(names: list[str], shown: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
