"""Random numbers for models that are built only to be looked at: cut from one row of them instead of being drawn."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_ROW = 1_000_003
"""A prime, so that the rows of a matrix are not alike."""


class QuickNumbers(TorchFunctionMode):
    """Within it, tensors are filled at the speed of a copy: timm spends most of a model's building on drawing numbers.

    What should be normal is uniform, with the same mean and standard deviation, and so is what timm makes normal by the
    inverse error function. Everything that is not random comes out as it would otherwise.

    Args:
        fill: otherwise random tensors are left as they are, for a model of which a file will fill every one.
    """

    def __init__(self, *, fill: bool = True) -> None:
        super().__init__()
        self.fill = fill
        self.rows = (torch.rand(_ROW, generator=torch.Generator().manual_seed(1)) * 2 - 1).repeat(2)
        self.at, self.mean = 0, torch.empty(())

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if args and isinstance(args[0], Tensor) and args[0].device.type == "cpu" and args[0].is_contiguous():
            if func is Tensor.uniform_:
                low, high = _two(args[1:], kwargs, ("from", 0.0), ("to", 1.0))
                return self._fill(args[0], (low + high) / 2, (high - low) / 2)
            if func is Tensor.normal_:
                mean, std = _two(args[1:], kwargs, ("mean", 0.0), ("std", 1.0))
                return self._fill(args[0], mean, std * math.sqrt(3))
            if func is Tensor.erfinv_:
                return args[0]
        return func(*args, **kwargs)

    def _fill(self, tensor: Tensor, mean: float, reach: float) -> Tensor:
        if not self.fill:
            return tensor
        with torch.no_grad():
            flat = tensor.view(-1)
            for start in range(0, len(flat), _ROW):
                part = flat[start : start + _ROW]
                torch.add(self.mean.fill_(mean), self.rows[self.at : self.at + len(part)], alpha=reach, out=part)
            self.at = (self.at + len(flat)) % _ROW
        return tensor


def _two(args: Any, kwargs: Any, *named: tuple[str, float]) -> tuple[float, float]:
    first, second = (
        float(args[i] if i < len(args) else kwargs.get(name, default)) for i, (name, default) in enumerate(named)
    )
    return first, second
