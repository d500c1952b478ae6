"""SAM's image encoder, at any crop and patch size: timm builds it for its native grid of 64x64 only.

The neck is left out, and there is no final norm: features are the last block's tokens, `embed_dim` wide.
Most blocks attend within square windows, the others over the whole grid; each adds relative positions along
rows and along columns from tables with 2 * size - 1 entries, size being that side of the grid or the window.

A window keeps its share of the grid: 14 of 64, so 7 at 512/16 and 14 at 512/8 or 1024/16. Where that is no
integer it is rounded to the nearest. timm's windows are square, so for a crop that is not, the longer side counts:
SAM itself scales an image until its longer side fills the grid, and pads the shorter one (Kirillov et al.,
arXiv 2304.02643). At 512x1024/16 the window is 14. A grid that windows do not fill is padded by timm.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
from timm.layers.patch_embed import resample_patch_embed
from timm.layers.pos_embed import resample_abs_pos_embed_nhwc

from segrank.encoders.matching import Convert
from segrank.encoders.sam_window import window_size
from segrank.encoders.timm_model import create, publisher_filter, sample


def create_sam(name: str, options: dict[str, Any], *, crop: tuple[int, int], patch_size: int) -> nn.Module:
    """The encoder with random weights, its tables sized for the run.

    Raises:
        EncoderError: timm cannot build it so.
    """
    native = max(sample(name.partition(".")[0]).patch_embed.grid_size)
    window = window_size(max(crop) // patch_size, native)
    model = create(name, {"window_size": window, **options}, img_size=crop, patch_size=patch_size)
    # an untrained relative of SAM has a norm of the tokens where SAM has its neck, which changes their width
    neck = model.num_features != model.embed_dim
    model.prune_intermediate_layers(1, prune_norm=neck, prune_head=True)
    result: nn.Module = model
    return result


def sam_filter(name: str) -> Convert:
    """A file's tensors for the model's grid: names by timm's filter, SAM's own checkpoints included."""
    named = publisher_filter(name)

    def convert(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        converted = tensors if named is None else named(tensors, model)
        own = model.state_dict()
        return {key: _resized(key, value, own[key]) if key in own else value for key, value in converted.items()}

    return convert


def _resized(name: str, value: Tensor, own: Tensor) -> Tensor:
    """A table or the patch weights in the model's size; anything else, and what has that size, as it stands."""
    if value.shape == own.shape or value.ndim != own.ndim:
        return value
    if name == "pos_embed":  # 1 h w dim
        value = resample_abs_pos_embed_nhwc(value, list(own.shape[1:3]))
    elif name == "patch_embed.proj.weight" and value.shape[2:] != own.shape[2:]:
        value = resample_patch_embed(value, list(own.shape[2:]))
    elif name.endswith(("rel_pos_h", "rel_pos_w")):  # 2 * size - 1, dim of a head
        line = F.interpolate(value.float().T[None], size=len(own), mode="linear")  # as SAM's get_rel_pos does
        value = line[0].T.to(value.dtype)
    return value
