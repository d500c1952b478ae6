"""Mask2Former's decoder (arXiv 2112.01527) on a plain ViT: one scale, no pixel decoder, as arXiv 2404.12172 has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segrank.bilinear import Rows
from segrank.decoders.mask_loss import mask_loss
from segrank.decoders.mask_output import MaskOutput, mask_logits
from segrank.decoders.mask_scores import mask_scores
from segrank.decoders.mask_targets import Ignored
from segrank.decoders.query_block import QueryBlock, attention_input
from segrank.decoders.sine_position import sine_position
from segrank.decoders.sizes import BLOCKS, HEADS, HIDDEN, QUERIES, WIDTH


class Mask2FormerDecoder(nn.Module):
    """Features (b dim h w) -> a class and a mask for each query, on the features' own grid.

    Tokens are projected once: they are the values and, with their position, the keys of every block, and the map that
    masks are read from. A block's queries look where the masks that they predict are not below one half, or everywhere
    if that is nowhere.

    Args:
        dim: of the features.
        classes: how many there are. "No object" is one more.
        ignored: whether pixels without a label take no part in the masks' loss or, as in the reference code, count as
            outside of every mask.
        queries: how many masks are predicted.
    """

    scores_are_logits = False

    def __init__(self, dim: int, classes: int, *, ignored: Ignored = "excluded", queries: int = QUERIES) -> None:
        super().__init__()
        self.classes, self.ignored = classes, ignored
        self.project = nn.Linear(dim, WIDTH)
        self.keys = attention_input(WIDTH, BLOCKS * WIDTH)
        self.values = attention_input(WIDTH, BLOCKS * WIDTH)
        self.queries = nn.Parameter(torch.randn(queries, WIDTH))
        self.query_positions = nn.Parameter(torch.randn(queries, WIDTH))
        self.blocks = nn.ModuleList(QueryBlock(WIDTH, HEADS, HIDDEN) for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.classify = nn.Linear(WIDTH, classes + 1)
        self.mask = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)
        )
        # Mask2Former's code initialises its projection of features so (fvcore's c2_xavier_fill), heads as torch does.
        nn.init.kaiming_uniform_(self.project.weight, a=1)
        nn.init.zeros_(self.project.bias)

    def forward(self, features: Tensor) -> MaskOutput:
        grid = features.shape[2:]
        tokens = self.project(features.flatten(2).transpose(1, 2))  # b n width
        position = sine_position(*grid, WIDTH, features.device)
        keys = self.keys(tokens + position).unflatten(2, (BLOCKS, -1)).unbind(2)
        values = self.values(tokens).unflatten(2, (BLOCKS, -1)).unbind(2)
        image = tokens.transpose(1, 2)

        outputs = [self.queries.expand(features.shape[0], -1, -1)]
        for block, *of_image in zip(self.blocks, keys, values, strict=True):
            attended = self._attended(outputs[-1], image)
            outputs.append(block(outputs[-1], self.query_positions, *of_image, attended))

        x = self.norm(torch.stack(outputs if self.training else outputs[-1:], dim=1))  # b layers q width
        masks = mask_logits(self.mask(x).flatten(1, 2), image).view(*x.shape[:3], *grid)
        return MaskOutput(self.classify(x).transpose(0, 1), masks.transpose(0, 1))

    def _attended(self, queries: Tensor, image: Tensor) -> Tensor:
        """(b q width) and (b width n) -> which tokens each query looks at (b q n), bool.

        A comparison has no gradient, so that nothing is kept for one. Not under `no_grad`: autocast of earlier versions
        of torch keeps weights that it casts there, and later gives them out without gradient (pytorch issue 112583).
        """
        inside: Tensor = self.mask(self.norm(queries)) @ image >= 0
        return inside | ~inside.any(dim=2, keepdim=True)

    def loss(self, output: MaskOutput, labels: Tensor) -> Tensor:
        """As `mask_loss`: labels (b H W), uint8 -> (b), float32."""
        return mask_loss(output, labels, ignored=self.ignored)

    def scores(self, output: MaskOutput, image: int) -> Rows:
        """As `mask_scores`."""
        return mask_scores(output, image)
