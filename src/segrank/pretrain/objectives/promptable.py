"""Promptable segmentation: a click, and the mask of the thing that was clicked, whatever its class (after SAM, arXiv
2304.02643)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

from segrank.data.dataset import IGNORE, Sample
from segrank.decoders.query_block import QueryBlock
from segrank.decoders.sine_position import sine_position
from segrank.pretrain.network import Network
from segrank.pretrain.objectives.objective import Objective
from segrank.pretrain.objectives.supervised import labelled_crop
from segrank.pretrain.spec import PretrainSpec

BLOCKS = 2
"""Of the decoder, as in SAM."""
WIDTH, HEADS, HIDDEN = 128, 4, 512


class Views:
    """One augmented crop (3 H W), clicks (k 2: row, column, pixels), and the mask of each (k H W), uint8: 1 in, 0 out,
    255 where nothing is labelled. A crop without labels has clicks on masks of 255, which have no loss."""

    def __init__(self, spec: PretrainSpec) -> None:
        self.crop, self.clicks = spec.crop, spec.clicks

    def __call__(self, sample: Sample) -> list[Tensor]:
        image, labels = labelled_crop(sample, self.crop)
        things = components(labels)
        labelled = np.argwhere(labels != IGNORE)
        if len(labelled):
            # a thing is as likely to be clicked as any other, large or small
            chosen = np.random.choice(np.unique(things[things > 0]), self.clicks)
            clicks = np.stack([_inside(things == thing) for thing in chosen])
        else:
            clicks = np.zeros((self.clicks, 2), np.int64)
        masks = (things[None] == things[clicks[:, 0], clicks[:, 1]][:, None, None]).astype(np.uint8)
        masks[:, labels == IGNORE] = IGNORE
        return [torch.from_numpy(image), torch.from_numpy(clicks), torch.from_numpy(masks)]


def components(labels: np.ndarray) -> np.ndarray:
    """Labels (H W) -> numbers of connected pieces of one class (H W), from 1; 0 where nothing is labelled."""
    things = np.zeros(labels.shape, np.int32)
    for label in np.unique(labels[labels != IGNORE]):
        pieces, _ = ndimage.label(labels == label)
        things = np.where(pieces > 0, pieces + things.max(), things)
    return things


def _inside(thing: np.ndarray) -> np.ndarray:
    """A random pixel of it: row, column."""
    places = np.argwhere(thing)
    chosen: np.ndarray = places[np.random.randint(len(places))]
    return chosen


class Promptable(Objective):
    """Clicks are queries that look at the features and at each other's image; the mask is their product with them."""

    def __init__(self, spec: PretrainSpec, network: Network, classes: int) -> None:
        super().__init__(spec, network)
        self.narrow = nn.Linear(network.dim, WIDTH)
        self.click = nn.Linear(WIDTH, WIDTH)
        self.keys, self.values = (nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(BLOCKS)) for _ in range(2))
        self.blocks = nn.ModuleList(QueryBlock(WIDTH, HEADS, HIDDEN) for _ in range(BLOCKS))
        self.mask = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, views: list[Tensor]) -> Tensor:
        images, clicks, masks = views
        rows, columns = self.network.grid
        tokens = self.narrow(self.network(images)[:, self.network.prefix :])  # b n WIDTH
        position = sine_position(rows, columns, WIDTH, tokens.device)
        at = clicks[..., 0] // self.network.patch_size * columns + clicks[..., 1] // self.network.patch_size  # b k
        place = position[at]
        queries = self.click(tokens.gather(1, at[..., None].expand(-1, -1, WIDTH))) + place
        everywhere = torch.ones(*at.shape, rows * columns, dtype=torch.bool, device=tokens.device)
        zero = torch.zeros_like(queries[0])  # the place of a click is in its query already
        for block, key, value in zip(self.blocks, self.keys, self.values, strict=True):
            queries = block(queries, zero, key(tokens + position), value(tokens), everywhere)
        logits = torch.einsum("bkc,bnc->bkn", self.mask(queries), tokens) / WIDTH**0.5
        logits = F.interpolate(logits.unflatten(2, (rows, columns)).float(), masks.shape[2:], mode="bilinear")
        return mask_loss(logits, masks)


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy and dice on labelled pixels, the mean over masks that have any. (b k H W) both."""
    known = (masks != IGNORE).flatten(2)
    target = (masks == 1).flatten(2).float()
    logits = logits.flatten(2)
    area = known.sum(dim=2)
    cross_entropy = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * known).sum(dim=2)
    chance = logits.sigmoid() * known
    dice = 1 - (2 * (chance * target).sum(dim=2) + 1) / (chance.sum(dim=2) + target.sum(dim=2) + 1)
    each = (cross_entropy / area.clamp(min=1) + dice) * (area > 0)
    return each.sum() / (area > 0).sum().clamp(min=1)
