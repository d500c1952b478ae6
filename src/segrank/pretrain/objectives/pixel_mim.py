"""Masked image modelling of pixels: the masked autoencoder (MAE, arXiv 2111.06377)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightly.models import utils
from lightly.models.modules.masked_vision_transformer_decoder_timm import MaskedVisionTransformerDecoderTIMM
from lightly.models.modules.masked_vision_transformer_timm import MaskedVisionTransformerTIMM
from lightly.transforms.mae_transform import MAETransform
from PIL import Image
from torch import Tensor, nn

from segrank.data.dataset import Sample
from segrank.pretrain.network import Network
from segrank.pretrain.objectives.objective import Objective
from segrank.pretrain.spec import PretrainSpec

DEPTH = 2
"""Blocks of the decoder; MAE has 8 beside 24 of the encoder, and finds that one is enough for fine-tuning."""


class Views:
    """One crop of random size, flipped by a coin (3 H W)."""

    def __init__(self, spec: PretrainSpec) -> None:
        self.transform = MAETransform(input_size=spec.crop, normalize=None)  # type: ignore[arg-type]  # it takes none

    def __call__(self, sample: Sample) -> list[Tensor]:
        views: list[Tensor] = self.transform(Image.fromarray(sample.image))
        return views


def masked(network: Network) -> MaskedVisionTransformerTIMM:
    """The network as one that takes masks; its weights stay as they are."""
    return MaskedVisionTransformerTIMM(network.vit, weight_initialization="skip", pos_embed_initialization="skip")


class PixelMim(Objective):
    """The encoder sees the patches that are not masked; a small decoder predicts the pixels of the others, each patch
    normalised by its own mean and variance."""

    def __init__(self, spec: PretrainSpec, network: Network, classes: int) -> None:
        super().__init__(spec, network)
        self.encoder = masked(network)
        self.encoder.mask_token.requires_grad_(False)  # masked patches are not seen at all
        rows, columns = network.grid
        self.narrow = nn.Linear(network.dim, network.dim)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            num_patches=rows * columns,
            embed_dim=network.dim,
            depth=DEPTH,
            num_heads=network.heads,
            num_prefix_tokens=network.prefix,
        )
        self.pixels = nn.Linear(network.dim, 3 * network.patch_size**2)

    def forward(self, views: list[Tensor]) -> Tensor:
        images = self.network.normalised(views[0])
        length = self.encoder.sequence_length
        keep, hidden = token_masks(len(images), length, self.network.prefix, self.spec.mask_ratio, images.device)
        seen = self.narrow(self.encoder.encode(images, idx_keep=keep))
        tokens = utils.repeat_token(self.decoder.mask_token, (len(images), length)).to(seen.dtype)
        tokens = self.decoder(utils.set_at_index(tokens, keep, seen))
        predicted = self.pixels(utils.get_at_index(tokens, hidden))
        target = utils.get_at_index(patches(images, self.network.patch_size), hidden - self.network.prefix)
        return F.mse_loss(predicted.float(), utils.normalize_mean_var(target))


def patches(images: Tensor, size: int) -> Tensor:
    """(b 3 H W) -> (b n size*size*3), row by row; crops need not be square."""
    return F.unfold(images, size, stride=size).transpose(1, 2)


def token_masks(batch: int, length: int, prefix: int, ratio: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices of tokens that are kept (b k) and masked (b m); prefix tokens are always kept."""
    keep, hidden = utils.random_token_mask((batch, length - prefix), ratio, mask_class_token=True, device=device)
    first = torch.arange(prefix, device=device).expand(batch, -1)
    return torch.cat([first, keep + prefix], dim=1), hidden + prefix
