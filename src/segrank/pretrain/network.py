"""The architecture that is pretrained: a plain vision transformer of timm with a table of positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm
from timm.models.vision_transformer import VisionTransformer

from segrank.encoders.timm_model import check_name
from segrank.encoders.vit import create_vit
from segrank.errors import EncoderError
from segrank.pretrain.spec import PretrainSpec
from segrank.spec import parse_reference


class Network(nn.Module):
    """Images (b 3 H W) in 0..1 -> tokens (b prefix+n dim), with what objectives have to know of the architecture.

    Args:
        vit: timm's, without a head; at other sizes than its own its positions are resampled (small views).
        mean, std: per channel, of images in 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, vit: VisionTransformer, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.vit: Any = vit
        self.dim: int = vit.embed_dim
        first: Any = next(iter(vit.blocks))
        self.heads: int = first.attn.num_heads
        self.prefix: int = vit.num_prefix_tokens
        self.patch_size: int = self.vit.patch_embed.patch_size[0]
        self.grid: tuple[int, int] = self.vit.patch_embed.grid_size
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.vit.forward_features(self.normalised(images))
        return tokens

    def normalised(self, images: Tensor) -> Tensor:
        """Images in 0..1, or uint8, as the vision transformer takes them."""
        if images.dtype == torch.uint8:
            images = images.float() / 255
        return (images - self.mean) / self.std

    def summary(self, tokens: Tensor) -> Tensor:
        """One vector an image (b dim): the class token, or the mean of the patches where there is none."""
        return tokens[:, 0] if self.vit.cls_token is not None else tokens[:, self.prefix :].mean(dim=1)


def build_network(spec: PretrainSpec) -> Network:
    """With random weights; equal architectures and seeds give equal values, whatever the objective.

    Raises:
        EncoderError: there is no such model, or it is not of this kind.
    """
    _, name, options = parse_reference(spec.architecture)
    check_name(name, options)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(spec.seed)
        if spec.objective == "self-distillation":  # small views of other sizes go through the same network
            options = {**options, "dynamic_img_size": True}
        vit = create_vit(name, options, crop=spec.crop, patch_size=spec.patch_size)
    if not isinstance(vit, VisionTransformer) or vit.pos_embed is None:
        raise EncoderError(
            f"{spec.architecture[:120]} cannot be pretrained here",
            wanted="one of timm's vit_ models with a table of positions, such as timm:vit_tiny_patch16_224",
        )
    config = timm.data.resolve_model_data_config(vit)  # type: ignore[attr-defined, no-untyped-call]
    return Network(vit, config["mean"], config["std"])
