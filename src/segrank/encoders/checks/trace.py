"""What happens inside an encoder during one forward pass: which norms are called, and where the features come from.

Tensors are followed by value. Each token is reduced to one number, its product with a fixed random vector; a set of
tokens that is cut, reordered or reshaped keeps these numbers, and a set that is computed on does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from segrank.encoders.encoder import Encoder

Marks = NDArray[np.float64]
"""One number for each token, in order."""

_FUNCTIONS = {F.layer_norm, F.rms_norm, F.group_norm, torch.layer_norm, torch.rms_norm, torch.group_norm}


class Call(NamedTuple):
    """One call of a module, or of a norm as a function."""

    name: str
    norm: bool
    taken: Marks | None
    """Of its input; none where that has no channels as wide as the features."""
    given: Marks | None
    """Of its output."""


class Trace(NamedTuple):
    """One picture through an encoder."""

    calls: tuple[Call, ...]
    """In the order in which they ended; an inner module stands before the one around it."""
    norms: tuple[str, ...]
    """Names of all norms with parameters, called or not."""
    features: Marks
    """Row by row."""


def trace(encoder: Encoder, images: Tensor) -> Trace:
    """Watch one image (1 3 H W) go through."""
    direction = torch.randn(encoder.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction = direction.to(images.device)
    norms = {name: m for name, m in encoder.backbone.named_modules() if is_norm(m)}
    weights = {id(p): f"{n}, as a function" for n, p in encoder.backbone.named_parameters()}
    calls: list[Call] = []
    inside: list[str] = []

    def before(name: str) -> Callable[..., None]:
        return lambda *_: inside.append(name)

    def after(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
            if name in norms:
                inside.remove(name)
            taken = marks(inputs[0], direction) if inputs and name in norms else None
            calls.append(Call(name, name in norms, taken, marks(output, direction)))

        return hook

    def norm_called(arguments: tuple[Any, ...], options: Mapping[str, Any], output: object) -> None:
        if not inside:  # else it is the module's own doing
            weight = next((weights[id(a)] for a in (*arguments, *options.values()) if id(a) in weights), "a function")
            taken = arguments[0] if arguments else options.get("input")
            calls.append(Call(weight, True, marks(taken, direction), marks(output, direction)))

    handles = [m.register_forward_pre_hook(before(name)) for name, m in norms.items()]
    handles += [m.register_forward_hook(after(name)) for name, m in encoder.backbone.named_modules() if name]
    try:
        with torch.no_grad(), _Norms(norm_called):
            features = encoder(images)
    finally:
        for handle in handles:
            handle.remove()
    own = marks(features, direction)
    assert own is not None, "features are dim wide"
    with_parameters = tuple(name for name, m in norms.items() if any(True for _ in m.parameters()))
    return Trace(tuple(calls), with_parameters, own)


def is_norm(module: nn.Module) -> bool:
    """A norm by its name, with nothing else inside it."""
    return "norm" in type(module).__name__.lower() and not any(True for _ in module.children())


def marks(value: object, direction: Tensor) -> Marks | None:
    """One number per token of the first image of tokens (b ... dim) or of a map (b dim h w)."""
    dim = len(direction)
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim < 3:
        return None
    value = value.detach()
    if value.shape[-1] == dim:
        tokens = value[0].double() @ direction
    elif value.ndim == 4 and value.shape[1] == dim:
        tokens = torch.einsum("chw,c->hw", value[0].double(), direction)
    else:
        return None
    return tokens.flatten().cpu().numpy()


def holds(given: Marks | None, wanted: Marks) -> bool:
    """Whether all these tokens are among those, in whatever order."""
    if given is None or len(given) < len(wanted):
        return False
    ordered = np.sort(given)
    right = np.searchsorted(ordered, wanted).clip(1, len(ordered) - 1)
    nearest = np.minimum(np.abs(ordered[right] - wanted), np.abs(ordered[right - 1] - wanted))
    return bool((nearest <= _tolerance(wanted)).all())


def place_of(given: Marks | None, wanted: Marks) -> int | None:
    """Which token the wanted ones begin at, if they stand there one after the other."""
    if given is None:
        return None
    for start in range(len(given) - len(wanted) + 1):
        if np.abs(given[start : start + len(wanted)] - wanted).max() <= _tolerance(wanted):
            return start
    return None


def _tolerance(wanted: Marks) -> float:
    return 1e-5 * float(np.abs(wanted).max()) + 1e-12


class _Norms(TorchFunctionMode):
    """Tells of norms that are called as functions."""

    def __init__(self, tell: Callable[[tuple[Any, ...], Mapping[str, Any], object], None]) -> None:
        super().__init__()
        self.tell = tell

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in _FUNCTIONS:
            self.tell(args, kwargs or {}, output)
        return output
