"""timm's models built without segrank, with random values, and their features normalised and laid out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401

# isort: split
import timm

SMALLER: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 3}
"""Options that cut a vision transformer down."""


def query(name: str, **options: Any) -> str:
    return f"timm:{name}?" + "&".join(f"{k}={v}" for k, v in {**SMALLER, **options}.items())


def timm_model(name: str, **options: Any) -> nn.Module:
    """timm's own, with the head that it has by default, and every parameter away from its initial value."""
    torch.manual_seed(1)
    model: nn.Module = timm.create_model(name, **SMALLER, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def save(model: nn.Module, path: Path) -> Path:
    safetensors.torch.save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    return path


def images(height: int, width: int, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def by_hand(model: nn.Module, pixels: Tensor, prefix: int, grid: tuple[int, int]) -> Tensor:
    mean, std = (torch.tensor(model.pretrained_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))  # type: ignore[index]
    with torch.no_grad():
        tokens: Tensor = model.forward_features((pixels.float() / 255 - mean) / std)  # type: ignore[operator]
    rows = [tokens[:, prefix + r * grid[1] : prefix + (r + 1) * grid[1]] for r in range(grid[0])]
    return torch.stack(rows, 1).permute(0, 3, 1, 2)  # b dim h w
