"""Encoders wired wrongly in one way each, and one that is sound: `file:broken.py:build?fault=NAME`.

Each wraps one of timm's vision transformers as a user would do it by hand. With `file` it is the real one, its
weights loaded here; without, a small one with random weights.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

SMALL: dict[str, Any] = {"embed_dim": 64, "depth": 3, "num_heads": 4}


class Sound(nn.Module):
    """Tokens of a plain vision transformer, prefix and all."""

    def __init__(self, core: Any) -> None:
        super().__init__()
        self.core = core
        self.num_prefix_tokens: int = core.num_prefix_tokens
        self.mean, self.std = core.pretrained_cfg["mean"], core.pretrained_cfg["std"]

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.core.forward_features(images)
        return tokens


class HalfPatch(Sound):
    def forward(self, images: Tensor) -> Tensor:
        half = self.core.patch_embed.patch_size[0] // 2
        return super().forward(F.pad(images, (half, 0, half, 0), mode="replicate")[..., :-half, :-half])


class SwappedStatistics(Sound):
    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.mean, self.std = self.std, self.mean


class Bgr(Sound):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.flip(1))


class Twice(Sound):
    """Normalises images that segrank has normalised."""

    def forward(self, images: Tensor) -> Tensor:
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return super().forward((images - mean) / std)


class ClassTokenLeftIn(Sound):
    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.num_prefix_tokens = 0

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)[:, :-1]


class Transposed(Sound):
    num_prefix_tokens = 0

    def forward(self, images: Tensor) -> Tensor:
        rows, columns = self.core.patch_embed.grid_size
        tokens = super().forward(images)[:, 1:].transpose(1, 2)
        return tokens.reshape(len(tokens), -1, rows, columns).transpose(2, 3).reshape(len(tokens), -1, rows, columns)


class CentreCrop(Sound):
    """Resizes by 8/7 and cuts out the middle, as for classification."""

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        larger = F.interpolate(images, size=(height * 8 // 7, width * 8 // 7), mode="bilinear", antialias=True)
        top, left = (larger.shape[2] - height) // 2, (larger.shape[3] - width) // 2
        return super().forward(larger[..., top : top + height, left : left + width])


class AlwaysDropout(Sound):
    def forward(self, images: Tensor) -> Tensor:
        return F.dropout(super().forward(images), 0.1)


class GradientCut(Sound):
    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            tokens = self.core._pos_embed(self.core.patch_embed(images))
            tokens = self.core.blocks[0](tokens)
        for block in self.core.blocks[1:]:
            tokens = block(tokens)
        normed: Tensor = self.core.norm(tokens)
        return normed


class NormNeverCalled(Sound):
    def forward(self, images: Tensor) -> Tensor:
        intermediates: Any = self.core.forward_intermediates(
            images, indices=1, intermediates_only=True, output_fmt="NLC"
        )
        tokens: Tensor = intermediates[-1]
        return tokens

    num_prefix_tokens = 0

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.num_prefix_tokens = 0


class NormTakenOut(Sound):
    def __init__(self, core: Any) -> None:
        super().__init__(core)
        core.norm = nn.Identity()


class NormTwice(Sound):
    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.core.norm(super().forward(images))
        return tokens


class NormOnTop(Sound):
    """A fresh norm over features that have one."""

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.post = nn.LayerNorm(core.embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.post(super().forward(images))
        return tokens


class BatchStatistics(Sound):
    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.post = nn.BatchNorm1d(core.embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.post(super().forward(images).transpose(1, 2)).transpose(1, 2)
        return tokens


def cut_table(core: Any, native: dict[str, Tensor], grid: tuple[int, int]) -> None:
    """The first entries of the table, as many as fit."""
    table = native["pos_embed"]
    entries = table[:, 1:][:, torch.arange(grid[0] * grid[1]) % (table.shape[1] - 1)]
    core.pos_embed.data = torch.cat([table[:, :1], entries], 1)


def table_with_class_token(core: Any, native: dict[str, Tensor], grid: tuple[int, int]) -> None:
    """The table resized as an image that begins with the class token's entry."""
    table = native["pos_embed"]
    side = int((table.shape[1] - 1) ** 0.5)
    image = table[:, :-1].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    image = F.interpolate(image, size=grid, mode="bicubic", antialias=True)
    core.pos_embed.data = torch.cat([table[:, :1], image.flatten(2).transpose(1, 2)], 1)


def table_by_nearest_upside_down(core: Any, native: dict[str, Tensor], grid: tuple[int, int]) -> None:
    table = native["pos_embed"]
    side = int((table.shape[1] - 1) ** 0.5)
    image = F.interpolate(table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2), size=grid, mode="nearest").flip(
        2
    )
    core.pos_embed.data = torch.cat([table[:, :1], image.flatten(2).transpose(1, 2)], 1)


def patches_by_nearest(core: Any, native: dict[str, Tensor], grid: tuple[int, int]) -> None:
    own = core.patch_embed.proj.weight
    own.data = F.interpolate(native["patch_embed.proj.weight"], size=own.shape[2:], mode="nearest")


WIRING: dict[str, type[Sound]] = {
    "none": Sound,
    "half_patch": HalfPatch,
    "swapped_statistics": SwappedStatistics,
    "bgr": Bgr,
    "normalised_twice": Twice,
    "class_token_left_in": ClassTokenLeftIn,
    "transposed": Transposed,
    "centre_crop": CentreCrop,
    "dropout_in_eval": AlwaysDropout,
    "gradient_cut": GradientCut,
    "norm_never_called": NormNeverCalled,
    "norm_taken_out": NormTakenOut,
    "norm_twice": NormTwice,
    "norm_on_top": NormOnTop,
    "batch_statistics": BatchStatistics,
}
WEIGHTS = {
    "cut_table": cut_table,
    "table_with_class_token": table_with_class_token,
    "table_by_nearest_upside_down": table_by_nearest_upside_down,
    "patches_by_nearest": patches_by_nearest,
}
"""Faults that only weights show; they need the real ones."""


def build(crop: tuple[int, int], patch_size: int, fault: str = "none", file: str = "") -> nn.Module:
    """`half_loaded` is a fault as well: the second half of the blocks stays random."""
    grid = (crop[0] // patch_size, crop[1] // patch_size)
    core: Any
    if not file:
        core = timm.create_model("deit_tiny_patch16_224", num_classes=0, img_size=crop, patch_size=patch_size, **SMALL)
        return WIRING[fault](core)
    core = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=crop, patch_size=patch_size)
    native = {name: value.float() for name, value in load_file(file).items()}
    tensors = timm.models.vision_transformer.checkpoint_filter_fn(native, core)
    if fault == "half_loaded":
        tensors = {
            name: value
            for name, value in tensors.items()
            if name.split(".")[1:2] not in [[str(n)] for n in range(6, 12)]
        }
    core.load_state_dict(tensors, strict=fault != "half_loaded")
    if fault in WEIGHTS and (tuple(crop), patch_size) != ((518, 518), 14):
        WEIGHTS[fault](core, native, grid)
    return WIRING.get(fault, Sound)(core)
