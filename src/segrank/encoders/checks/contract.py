"""Is it an encoder as a run needs one: shapes, finite numbers, the same features each time, images apart?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from segrank.encoders.checks.gradients import named
from segrank.encoders.checks.report import Finding
from segrank.encoders.checks.subject import Subject, pictures
from segrank.encoders.encoder import Encoder
from segrank.errors import EncoderError

SAME = 1e-3
"""Relative difference below which features are the same: batches of other sizes are summed in another order."""


def check_shapes(subject: Subject, encoder: Encoder) -> Finding:
    """At the crop, at half of it and at another shape, each built anew; type and finiteness as well."""
    wrong, refused, seen = [], [], []
    for crop in dict.fromkeys((subject.crop, *subject.smaller())):
        size = f"{crop[0]}x{crop[1]}"
        try:
            built = encoder if crop == subject.crop else subject.build(crop)[0]
            with torch.no_grad():
                features = built(pictures(2, crop, subject.device))
        except EncoderError as error:
            refused.append(f"{size} ({error.found})")
            continue
        shape = (2, encoder.dim, crop[0] // subject.patch_size, crop[1] // subject.patch_size)
        if tuple(features.shape) != shape:
            wrong.append(f"{tuple(features.shape)} instead of {shape} at {size}")
        elif not features.is_floating_point():
            wrong.append(f"{features.dtype} at {size}")
        elif not bool(torch.isfinite(features).all()):
            share = 1 - float(torch.isfinite(features).double().mean())
            wrong.append(f"NaN or infinite values at {size} ({share:.1%})")
        else:
            seen.append(f"{shape[2]}x{shape[3]} at {size}")
    if wrong:
        advice = "features must be finite floats, (b dim H/patch W/patch), at every size that the encoder is built for"
        return Finding(name="shapes", status="wrong", evidence="; ".join(wrong), advice=advice)
    if refused:
        return Finding(
            name="shapes",
            status="unsure",
            evidence=f"grids {', '.join(seen)}; not to be built at {'; '.join(refused)}",
            advice="a run with that crop would fail; if the others are all that you need, nothing is wrong",
        )
    return Finding(name="shapes", status="ok", evidence=f"{encoder.dim} channels; grids {', '.join(seen)}; finite")


def check_repeatable(subject: Subject, encoder: Encoder) -> Finding:
    """Two forward passes in evaluation mode."""
    images = pictures(1, encoder.crop, subject.device)
    first, marks = _watched(encoder, images)
    second, again = _watched(encoder, images)
    apart = difference(first, second)
    measured = {"difference": apart}
    if apart <= SAME / 10:
        evidence = "two passes in evaluation mode give " + (
            "equal features" if not apart else f"features {apart:.0e} apart"
        )
        return Finding(name="repeatable", status="ok", evidence=evidence, measured=measured)
    culprit = next((name for name, value in marks.items() if again.get(name) != value), "the encoder itself")
    return Finding(
        name="repeatable",
        status="wrong",
        evidence=f"two passes in evaluation mode differ by {apart:.1%}, first behind {culprit}",
        advice="dropout that does not look at the module's mode (F.dropout needs training=self.training), or noise",
        measured=measured,
    )


def check_training_mode(subject: Subject, encoder: Encoder) -> Finding:
    """Training may differ from evaluation by dropout only; the protocol's own encoders have none."""
    images = pictures(2, encoder.crop, subject.device)
    random = [
        name
        for name, module in encoder.named_modules()
        if "drop" in type(module).__name__.lower() and _rate(module) > 0
    ]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        evaluated = encoder(images)
        with _training(encoder, without=()):
            trained = difference(evaluated, encoder(images))
        with _training(encoder, without=random):
            calm = difference(evaluated, encoder(images))
    measured = {"difference": trained, "without_dropout": calm}
    if calm > SAME:
        names = [n for n, m in encoder.named_modules() if "BatchNorm" in type(m).__name__]
        because = f", which has {len(names)} batch norms ({named(names, 1)})" if names else ""
        return Finding(
            name="training mode",
            status="wrong",
            evidence=f"features differ by {calm:.1%} between training and evaluation mode, dropout aside{because}",
            advice="batch norms must keep their statistics (module.eval() in an overridden train()), or something else "
            "depends on the mode",
            measured=measured,
        )
    if trained > SAME:
        return Finding(
            name="training mode",
            status="ok",
            evidence=f"features differ by {trained:.1%} in training mode, because of dropout in {named(random)}",
            advice="the protocol trains without dropout: set its rates to 0 to compare with its other encoders",
            measured=measured,
        )
    evidence = "features are the same in training mode" + (f" ({trained:.0e} apart)" if trained else "")
    return Finding(name="training mode", status="ok", evidence=evidence, measured=measured)


def check_batch(subject: Subject, encoder: Encoder) -> Finding:
    """Features of an image alone and beside others, in both modes."""
    images = pictures(2, encoder.crop, subject.device)
    images[1] = 255 - images[1]
    random = [name for name, module in encoder.named_modules() if _rate(module) > 0]
    worst = {}
    with torch.no_grad():
        for mode in ("evaluation", "training"):
            with _training(encoder, without=random, mode=mode == "training"):
                worst[mode] = difference(encoder(images[:1]), encoder(images)[:1])
    measured = dict(worst)
    if max(worst.values()) <= SAME:
        apart = f" (at most {max(worst.values()):.0e} apart)" if max(worst.values()) else ""
        evidence = f"an image's features are the same beside another, in both modes{apart}"
        return Finding(name="batch", status="ok", evidence=evidence, measured=measured)
    mode = max(worst, key=lambda name: worst[name])
    return Finding(
        name="batch",
        status="wrong",
        evidence=f"an image's features change by {worst[mode]:.1%} in {mode} mode when another stands beside it",
        advice="something mixes the batch: batch norm in training mode, a reshape that runs over images, or attention "
        "along the wrong axis",
        measured=measured,
    )


def difference(one: Tensor, other: Tensor) -> float:
    """Root mean square of the difference over that of the first; infinite where a value is not finite."""
    apart = float((one - other).double().square().mean().sqrt() / one.double().square().mean().sqrt().clamp_min(1e-12))
    return apart if math.isfinite(apart) else math.inf


def _watched(encoder: Encoder, images: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The features, and a number for each module's output in the order in which they end."""
    marks: dict[str, float] = {}

    def mark(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                marks.setdefault(name, float(output.double().sum()))

        return hook

    handles = [module.register_forward_hook(mark(name)) for name, module in encoder.named_modules() if name]
    try:
        with torch.no_grad():
            return encoder(images), marks
    finally:
        for handle in handles:
            handle.remove()


def _rate(module: nn.Module) -> float:
    """Of a dropout or drop path module; 0 for any other."""
    rate = getattr(module, "p", getattr(module, "drop_prob", 0.0)) if "drop" in type(module).__name__.lower() else 0.0
    return float(rate) if isinstance(rate, int | float) else 0.0


@contextmanager
def _training(encoder: Encoder, *, without: tuple[str, ...] | list[str], mode: bool = True) -> Iterator[None]:
    """The mode, with some modules in evaluation mode all the same; afterwards evaluation mode and the same buffers."""
    kept = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    encoder.train(mode)
    for name in without:
        encoder.get_submodule(name).eval()
    try:
        yield
    finally:
        encoder.eval()
        for name, buffer in encoder.named_buffers():
            if name in kept and buffer.shape == kept[name].shape:
                buffer.copy_(kept[name])
