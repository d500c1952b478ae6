"""Hierarchical models of timm (ConvNeXt, Swin, Hiera, ...): one feature map at one stride.

The run's `patch_size` is the stride wanted, and the last stage with that stride gives the features; what
stands behind it is cut off, so that every parameter left takes part. The stage must be one of the last two (strides
16 and 32 in nearly all models): the stage of stride 8 has seen 4 of 12 blocks in Swin-T and 6 of 36 in ConvNeXt-B, so
that it says little of the pretrained model, and nothing beside a vision transformer with 8x8 patches.

Features are what the pretrained model leaves there. Its final norm is on them if it is the last stage's and
stands before the pooling (Swin; also in timm's `forward_features`). Where the norm follows the pooling (ConvNeXt,
Hiera) and on earlier stages there is none, and none is added.

Windows keep their published size, as in Swin's own segmentation training; timm pads grids that they do not fill.
BatchNorm, if a model has it, keeps its statistics.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
from timm.layers.pos_embed import resample_abs_pos_embed_nhwc
from timm.models.hiera import Hiera
from timm.models.hieradet_sam2 import HieraDet

from segrank.encoders.encoder import FixedStatistics
from segrank.encoders.matching import Convert
from segrank.encoders.timm_model import create, publisher_filter, sample, takes
from segrank.errors import EncoderError

_WITHOUT_NORM = (Hiera, HieraDet)
"""Their `forward_intermediates` refuses `norm=True`: none of their norms stands before the pooling."""


class Stage(FixedStatistics):
    """Normalised images (b 3 H W) -> the output of one stage (b dim h w).

    Args:
        core: timm's model, cut off behind the stage.
        index: of the stage.
        last: whether it is the model's last one.
    """

    def __init__(self, core: Any, *, index: int, last: bool) -> None:
        super().__init__()
        self.core = core
        self.index = index
        self.norm = last and not isinstance(core, _WITHOUT_NORM)

    def forward(self, images: Tensor) -> Tensor:
        features: list[Tensor] = self.core.forward_intermediates(
            images, indices=[self.index], norm=self.norm, output_fmt="NCHW", intermediates_only=True
        )
        return features[0]


def create_stage(name: str, options: dict[str, Any], *, crop: tuple[int, int], patch_size: int) -> Stage:
    """The model up to the stage of that stride, with random weights.

    Raises:
        EncoderError: it has no such stage among its last two, or timm cannot build it so.
    """
    model = _whole(name, options, crop)
    strides = [stage["reduction"] for stage in model.feature_info]
    if patch_size not in strides[-2:]:
        choices = " or ".join(str(stride) for stride in dict.fromkeys(strides[-2:]))
        early = patch_size in strides
        raise EncoderError(
            f"{name} has {'only an early' if early else 'no'} stage of stride {patch_size}",
            wanted="the stride of one of its last two stages, which hold nearly all of its depth",
            fix=f"use patch_size={choices}",
        )
    index = len(strides) - 1 - strides[::-1].index(patch_size)
    model.prune_intermediate_layers([index], prune_norm=False, prune_head=True)
    return Stage(model, index=index, last=index == len(strides) - 1)


def stage_filter(name: str, options: dict[str, Any], *, crop: tuple[int, int]) -> tuple[Convert, frozenset[str]]:
    """A conversion of a file's tensors, and the names of the whole model's parameters.

    timm's filters look at the model that they convert for, so they are shown the whole one, on the meta device.
    """
    with torch.device("meta"):
        whole = _whole(name, options, crop)
    named = publisher_filter(name)

    def convert(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        converted = tensors if named is None else named(tensors, whole)
        table = converted.get("pos_embed")
        if isinstance(whole, Hiera) and table is not None and table.ndim == 3:
            grid, unit = whole.tokens_spatial_shape, whole.mask_unit_size
            converted["pos_embed"] = resize_hiera_positions(table, (grid[0], grid[1]), (unit[0], unit[1]))
        return converted

    return convert, frozenset(whole.state_dict())


def resize_hiera_positions(table: Tensor, grid: tuple[int, int], unit: tuple[int, int]) -> Tensor:
    """Hiera's table of absolute positions (1 n dim, of a square grid) for another grid; itself at its own.

    Trained with attention within mask units, it has learned a pattern that repeats from unit to unit;
    resized as a whole the pattern would no longer fit the units (Bolya et al., arXiv 2311.05613). So it is split
    into the mean unit and the rest: the rest is resized (bicubic, antialias), the unit is laid out again.
    """
    side = math.isqrt(table.shape[1])
    rows, columns = unit
    if (side, side) == grid or side * side != table.shape[1] or side % rows or side % columns:
        return table  # what does not fit is refused with the other shapes
    image = table.float().reshape(1, side // rows, rows, side // columns, columns, -1)
    window = image.mean((1, 3))  # 1 rows columns dim
    rest = (image - window[:, None, :, None]).reshape(1, side, side, -1)
    resized = resample_abs_pos_embed_nhwc(rest, list(grid))
    resized = resized + window.tile(1, grid[0] // rows, grid[1] // columns, 1)
    result: Tensor = resized.flatten(1, 2).to(table.dtype)
    return result


def _whole(name: str, options: dict[str, Any], crop: tuple[int, int]) -> Any:
    sized = takes(sample(name.partition(".")[0]), "img_size")
    return create(name, options, **({"img_size": crop} if sized else {}))
