"""What reaches the first layer, against what the publisher states.

Pictures of one colour are shown, and the input of the first convolution or linear layer is caught. Three numbers in
0..1 go in and three come out, so that a few colours tell the whole map `seen = matrix @ colour + bias` exactly,
wherever it is made and however pictures are resized on the way. Rightly, the matrix has 1/std on its diagonal and the
bias is -mean/std.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
from timm.data import constants

from segrank.encoders.checks.publisher import Publisher
from segrank.encoders.checks.report import Finding, Status
from segrank.encoders.encoder import Encoder

Array = NDArray[np.float64]

COLOURS = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128))
TOLERANCE = 0.01
"""Of a normalised value; one level of 256 is 0.017 with ImageNet's statistics."""
KNOWN = {
    "ImageNet's": (constants.IMAGENET_DEFAULT_MEAN, constants.IMAGENET_DEFAULT_STD),
    "CLIP's": (constants.OPENAI_CLIP_MEAN, constants.OPENAI_CLIP_STD),
    "0.5": (constants.IMAGENET_INCEPTION_MEAN, constants.IMAGENET_INCEPTION_STD),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Statistics that pretrained models are published with (timm's constants)."""


class Seen(NamedTuple):
    """The map from colours in 0..1 to what reaches the first layer."""

    matrix: Array
    """(3 3): rows are channels of the first layer."""
    bias: Array
    """(3)"""
    bent: float
    """How far grey lies off the map that the other colours give."""


def check_normalisation(encoder: Encoder, publisher: Publisher | None) -> Finding:
    seen = first_input(encoder)
    own = (tuple(encoder.mean.flatten().tolist()), tuple(encoder.std.flatten().tolist()))
    if seen is None:
        return _finding(
            "unsure",
            f"images are normalised with {_said(*own)}; what reaches the first layer could not be caught",
            "its first layer is neither a convolution nor a linear layer on pixels: look at your code",
            {},
        )
    mean, std = (publisher.mean, publisher.std) if publisher else own
    source = f"as {publisher.architecture}'s configuration states" if publisher else "as the module states"
    apart = _apart(seen, mean, std)
    measured = {"apart": apart, "bent": seen.bent}
    if apart <= TOLERANCE and seen.bent <= TOLERANCE:
        evidence = f"the first layer gets RGB, {_said(mean, std)}, {source} (at most {apart:.0e} off)"
        if publisher is None:
            return _of_own(evidence, mean, std, measured)
        return _finding("ok", evidence, "", measured)
    what, advice = _diagnosis(seen, mean, std)
    return _finding(
        "wrong", f"the first layer gets {what}, not RGB with {_said(mean, std)}, {source}", advice, measured
    )


def first_input(encoder: Encoder) -> Seen | None:
    """Catch the input of the first layer; None if it does not look like pixels."""
    device = encoder.mean.device
    colours = torch.tensor(COLOURS, dtype=torch.uint8, device=device)
    images = colours[:, :, None, None].expand(-1, -1, *encoder.crop).contiguous()
    catch = _Catch({id(parameter) for parameter in encoder.backbone.parameters()})
    try:
        with torch.no_grad(), catch:
            encoder(images)
    except _Caught:
        pass
    values = None if catch.found is None else _values(catch.found)
    if values is None:
        return None
    shown = np.array(COLOURS, dtype=np.float64) / 255
    bias = values[0]
    matrix = (values[1:4] - bias).T  # columns are red, green, blue
    bent = float(np.abs(shown[4] @ matrix.T + bias - values[4]).max())
    return Seen(matrix, bias, bent)


def _values(found: Tensor) -> Array | None:
    """Three numbers for each colour, from a map, tokens of flattened patches or a map with the channels last."""
    count = len(COLOURS)
    found = found.detach().double().cpu()
    if found.ndim >= 4 and found.shape[:2] == (count, 3):
        middle = found.flatten(2)
        return middle[:, :, middle.shape[2] // 2].numpy()
    if found.ndim == 4 and found.shape[0] == count and found.shape[-1] == 3:
        return found[:, found.shape[1] // 2, found.shape[2] // 2].numpy()
    if found.shape[0] % count or found.shape[-1] % 3:
        return None
    patches = found.reshape(count, -1, found.shape[-1])[:, 0]  # colour, pixels of a patch x channels
    for arranged in (patches.reshape(count, 3, -1), patches.reshape(count, -1, 3).transpose(1, 2)):
        if float(arranged.std(2).max()) < 1e-5:
            return arranged[:, :, 0].numpy()
    return None


def _apart(seen: Seen, mean: tuple[float, ...], std: tuple[float, ...]) -> float:
    """The largest error over the colour cube, whose corners are the worst: the sum over a row bounds it."""
    m, s = np.array(mean), np.array(std)
    matrix, bias = seen.matrix - np.diag(1 / s), seen.bias + m / s
    return float(
        max(np.abs(bias + np.clip(matrix, 0, None).sum(1)).max(), np.abs(bias + matrix.clip(max=0).sum(1)).max())
    )


def _diagnosis(seen: Seen, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[str, str]:
    """What it is rather, and what to do."""
    order = np.abs(seen.matrix).argmax(1)
    gains = seen.matrix[np.arange(3), order]
    if seen.bent > TOLERANCE or sorted(order) != [0, 1, 2] or bool((np.abs(gains) < 1e-9).any()):
        return "something that is no plain normalisation of the colours", "look at what your module does to its images"
    with np.errstate(divide="ignore"):
        implied_std = 1 / gains
    implied_mean = -seen.bias / gains
    letters = "".join("RGB"[channel] for channel in order)
    said = f"{letters}, {_said(tuple(implied_mean), tuple(implied_std))}"
    m, s = np.array(mean)[order], np.array(std)[order]
    if letters != "RGB":
        return said, f"segrank gives RGB: do not reorder the channels ({letters} is what comes of it)"
    guesses = {
        "mean and std have changed places": (s, m),
        "it is normalised twice: leave it out of your module, segrank does it": (m + s * m, s * s),
        "it is not normalised at all: state mean and std": (m * 0, s * 0 + 1),
        "it comes in 0..255: segrank gives 0..1 and normalises by mean and std of that range": (m / 255, s / 255),
        "it is scaled by 255 twice": (m * 255, s * 255),
        **{f"these are {name} statistics: state the publisher's": KNOWN[name] for name in KNOWN},
    }
    for guess, (a, b) in guesses.items():
        if np.allclose(implied_mean, a, atol=2e-3, rtol=1e-2) and np.allclose(implied_std, b, atol=1e-6, rtol=1e-2):
            return said, guess
    return said, "set the module's mean and std to its publisher's"


def _of_own(evidence: str, mean: tuple[float, ...], std: tuple[float, ...], measured: dict[str, float]) -> Finding:
    """Nobody else states anything: the statement itself is held against those that are in use."""
    for name, (m, s) in KNOWN.items():
        if np.allclose(mean, m, atol=2e-3) and np.allclose(std, s, atol=2e-3):
            return _finding("ok", f"{evidence}; they are {name}", "", measured)
        if name != "0.5" and np.allclose(mean, s, atol=2e-3) and np.allclose(std, m, atol=2e-3):
            advice = "mean and std have changed places"
            return _finding("wrong", f"{evidence}, but {name} are the other way round", advice, measured)
        if name != "none" and np.allclose(mean[::-1], m, atol=2e-3) and np.allclose(std[::-1], s, atol=2e-3):
            advice = "state them in the order red, green, blue"
            return _finding("wrong", f"{evidence}, but these are {name} in the order BGR", advice, measured)
    return _finding(
        "unsure", f"{evidence}; these are no statistics in common use", "compare them with the publisher's", measured
    )


def _said(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    first, second = ("/".join(f"{value:.3g}" for value in values) for values in (mean, std))
    return f"mean {first}, std {second}"


def _finding(status: Status, evidence: str, advice: str, measured: dict[str, float]) -> Finding:
    return Finding(name="normalisation", status=status, evidence=evidence, advice=advice, measured=measured)


class _Caught(Exception):  # noqa: N818  it is no error
    pass


class _Catch(TorchFunctionMode):
    """Stops at the first convolution or linear layer with a weight of the model, and keeps its input."""

    functions = frozenset({torch.conv2d, torch.conv3d, torch.nn.functional.linear})

    def __init__(self, weights: set[int]) -> None:
        super().__init__()
        self.weights, self.found = weights, None

    found: Tensor | None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in self.functions:
            given = [*args, *(kwargs or {}).values()]
            if any(id(value) in self.weights for value in given):
                self.found = given[0]
                raise _Caught
        return func(*args, **(kwargs or {}))
