"""Supervised classification: which classes an image shows, told by its mask."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segrank.data.augment import augment
from segrank.data.dataset import IGNORE, Sample
from segrank.pretrain.network import Network
from segrank.pretrain.objectives.objective import Objective
from segrank.pretrain.spec import PretrainSpec

LEAST_SHARE = 1 / 256
"""Of the crop that a class has to cover to be shown by it: a patch of 256."""


class Views:
    """One augmented crop (3 H W) with its labels (H W), both uint8."""

    def __init__(self, spec: PretrainSpec) -> None:
        self.crop = spec.crop

    def __call__(self, sample: Sample) -> list[Tensor]:
        return [torch.from_numpy(part) for part in labelled_crop(sample, self.crop)]


def labelled_crop(sample: Sample, crop: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The augmentation of fine-tuning, drawn from numpy's global generator; an image without any label as black."""
    rng = np.random.default_rng(np.random.randint(2**32, size=4, dtype=np.uint32).tolist())
    found = augment(sample.image, sample.labels, crop, rng)
    return found if found is not None else (np.zeros((3, *crop), np.uint8), np.full(crop, IGNORE, np.uint8))


class Supervised(Objective):
    """Binary cross-entropy for each class of the dataset, on a linear layer over the image's summary."""

    def __init__(self, spec: PretrainSpec, network: Network, classes: int) -> None:
        super().__init__(spec, network)
        self.classes = classes
        self.head = nn.Linear(network.dim, classes)

    def forward(self, views: list[Tensor]) -> Tensor:
        images, labels = views
        logits = self.head(self.network.summary(self.network(images)))
        return F.binary_cross_entropy_with_logits(logits, self.shown(labels))

    def shown(self, labels: Tensor) -> Tensor:
        """Labels (b H W) -> (b classes), 1 where the class covers its share of the crop."""
        places = labels.flatten(1).long() + torch.arange(len(labels), device=labels.device)[:, None] * 256
        counts = torch.bincount(places.flatten(), minlength=256 * len(labels)).view(len(labels), 256)
        return (counts[:, : self.classes] >= LEAST_SHARE * labels[0].numel()).float()
