"""How much memory an encoder will take, from a run on the meta device, where tensors have shapes and no values."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from segrank.encoders.encoder import Encoder


class Estimate(NamedTuple):
    shape: list[int]
    """Of the features of one image."""
    forward_gib: float
    """For a checkpoint being loaded, and a forward pass without a graph."""
    backward_gib: float
    """For a forward and a backward pass."""


def estimate(encoder: Encoder) -> Estimate:
    """Of one image, in float32.

    Args:
        encoder: on the meta device.
    """
    images = torch.zeros(1, 3, *encoder.crop, dtype=torch.uint8, device="meta")
    parameters = sum(p.numel() * p.element_size() for p in encoder.parameters())
    storages: dict[int, int] = {}
    kept = []  # or else two storages could have one address after another

    def keep(value: Tensor) -> Tensor:
        kept.append(value)
        storages[value.untyped_storage()._cdata] = value.untyped_storage().nbytes()
        return value

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value),
        FusedAttention(),
        Largest() as largest,
    ):
        shape = list(encoder(images).shape)
    # forward: the model, the file's tensors, and a few of the largest; backward: the model, its gradients, what is kept
    forward = 2 * parameters + 4 * largest.bytes
    backward = 2 * parameters + sum(storages.values()) + 4 * largest.bytes
    return Estimate(shape, forward / 2**30, backward / 2**30)


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, Tensor):
                self.bytes = max(self.bytes, value.numel() * value.element_size())
        return result


class FusedAttention(TorchFunctionMode):
    """Stands in for the fused attention kernel, which the meta device lacks: it keeps queries, keys, values and
    one more tensor of their size, and no weights between tokens. With a mask that is learned there is no fused
    kernel on the CPU either."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.scaled_dot_product_attention and kwargs.get("attn_mask") is None:
            query, key, value = args[:3]
            if query.shape == key.shape == value.shape:
                return query * key * value
        return func(*args, **kwargs)
