"""The encoder-only mask transformer: the last blocks of a plain vision transformer are the decoder's blocks, too.

arXiv 2503.19108, "Your ViT is Secretly an Image Segmentation Model". What its text leaves open is as in its published
code (github.com/tue-mps/eomt, MIT; transformers' `EomtForUniversalSegmentation` is the same network), which the tests
compare with.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segrank.bilinear import Rows
from segrank.decoders.mask_loss import mask_loss
from segrank.decoders.mask_output import MaskOutput, mask_logits
from segrank.decoders.mask_scores import mask_scores
from segrank.decoders.mask_targets import Ignored
from segrank.decoders.sizes import QUERIES
from segrank.encoders.open_vit import OpenFeatures


def mask_chance(block: int, blocks: int, done: float) -> float:
    """How probable it is that a query's mask holds in the `block`-th of the shared blocks, counted from 0.

    It is 1 until the block's turn comes, falls as (1 - t)^0.9 over a sixth of the training, and is 0 from then on. The
    first block's turn comes after a sixth of the training and the last one's after four sixths, the others' evenly
    spread between: so it is in the published configurations for 3 and 4 blocks (ADE20K, COCO and Cityscapes).

    Args:
        block, blocks: which, and how many there are.
        done: share of the training, 0 to 1.
    """
    start = 1 / 6 + 1 / 2 * block / max(1, blocks - 1)
    return float((1 - min(max(6 * (done - start), 0), 1)) ** 0.9)


class EomtDecoder(nn.Module):
    """Queries that go through an encoder's last blocks with its tokens, and what they predict: masks and their classes.

    In training there is a prediction before each of these blocks and after the last, and in a block a query attends to
    the patches in its mask alone, beside all queries and the prefix. That holds by the chance of `mask_chance`, drawn
    for each query from torch's generator, so that there are no masks left in the end: outside training there are none,
    and only the last prediction is made.

    Args:
        dim: channels of the tokens.
        classes: how many.
        blocks: how many of the encoder's are shared.
        doublings: of the patches' grid, to that of the masks.
        ignored: as for `mask_loss`.
        queries: how many.
    """

    scores_are_logits = False

    def __init__(
        self,
        dim: int,
        classes: int,
        *,
        blocks: int,
        doublings: int,
        ignored: Ignored = "excluded",
        queries: int = QUERIES,
    ) -> None:
        super().__init__()
        self.classes, self.ignored = classes, ignored
        self.queries = nn.Parameter(torch.randn(queries, dim))
        self.classify = nn.Linear(dim, classes + 1)
        self.mask = nn.Sequential(
            nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim)
        )  # fmt: skip
        self.upscale = nn.Sequential(*(Doubling(dim) for _ in range(doublings)))
        self.chances = [1.0] * blocks

    def anneal(self, done: float) -> None:
        """To be called with the share of the training that is done; until then there is none."""
        self.chances = [mask_chance(block, len(self.chances), done) for block in range(len(self.chances))]

    def forward(self, features: OpenFeatures) -> MaskOutput:
        """Masks are on the patches' grid, `doublings` times doubled."""
        queries = self.queries.expand(features.patches.shape[0], -1, -1)
        tokens = torch.cat([features.prefix, queries, features.patches], dim=1)
        outputs = []
        for block, chance in zip(features.blocks, self.chances, strict=True):
            mask = None
            if self.training:
                classes, masks = self._predict(features, tokens)
                outputs.append((classes, masks))
                mask = self._attention_mask(features, masks, chance) if chance > 0 else None
            tokens = block(tokens, mask)
        outputs.append(self._predict(features, tokens))
        return MaskOutput(*(torch.stack(layers) for layers in zip(*outputs, strict=True)))

    def _predict(self, features: OpenFeatures, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (b n dim) -> classes (b q C+1) and masks (b q H W)."""
        sizes = [features.prefix.shape[1], len(self.queries), features.patches.shape[1]]
        _, queries, patches = torch.split(features.norm(tokens), sizes, dim=1)
        grid = patches.transpose(1, 2).reshape(patches.shape[0], -1, *features.grid)
        places = self.upscale(grid)  # b dim H W
        masks = mask_logits(self.mask(queries), places.flatten(2))
        return self.classify(queries), masks.view(*masks.shape[:2], *places.shape[2:])

    def _attention_mask(self, features: OpenFeatures, masks: Tensor, chance: float) -> Tensor:
        """To which tokens prefix and queries attend (b 1 p+q n), by masks (b q H W): queries not to all patches."""
        inside = F.interpolate(masks.detach(), features.grid, mode="bilinear").flatten(2) > 0  # b q patches
        if chance < 1:
            inside |= torch.rand(*inside.shape[:2], 1, device=inside.device) >= chance
        before = features.prefix.shape[1]
        return F.pad(inside, (before + inside.shape[1], 0, before, 0), value=True)[:, None]

    def loss(self, output: MaskOutput, labels: Tensor) -> Tensor:
        """As `mask_loss`: labels (b H W) uint8 -> (b), float32."""
        return mask_loss(output, labels, ignored=self.ignored)

    def scores(self, output: MaskOutput, image: int) -> Rows:
        """As `mask_scores`."""
        return mask_scores(output, image)


class Doubling(nn.Module):
    """(b dim h w) -> (b dim 2h 2w)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.widen = nn.ConvTranspose2d(dim, dim, 2, stride=2)
        self.smooth = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.smooth(F.gelu(self.widen(x)))
        normed: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)
