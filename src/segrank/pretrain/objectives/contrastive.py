"""Contrastive learning: SimCLR (arXiv 2002.05709)."""

from __future__ import annotations

from typing import cast

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.transforms.simclr_transform import SimCLRTransform
from PIL import Image
from torch import Tensor

from segrank.data.dataset import Sample
from segrank.pretrain.network import Network
from segrank.pretrain.objectives.objective import Objective
from segrank.pretrain.spec import PretrainSpec

HIDDEN, OUT = 512, 128


class Views:
    """Two views (3 H W)."""

    def __init__(self, spec: PretrainSpec) -> None:
        self.transform = SimCLRTransform(
            input_size=spec.crop,  # type: ignore[arg-type]  # torchvision takes both
            cj_strength=0.5,  # SimCLR's for small images (its appendix B.9)
            normalize=None,
        )

    def __call__(self, sample: Sample) -> list[Tensor]:
        return cast(list[Tensor], self.transform(Image.fromarray(sample.image)))


class Contrastive(Objective):
    """Two views of an image should be nearer to each other than to those of the other images of the batch."""

    def __init__(self, spec: PretrainSpec, network: Network, classes: int) -> None:
        super().__init__(spec, network)
        self.head = SimCLRProjectionHead(network.dim, HIDDEN, OUT)
        self.criterion = NTXentLoss(temperature=spec.temperature, gather_distributed=True)

    def forward(self, views: list[Tensor]) -> Tensor:
        first, second = self.head(self.network.summary(self.network(torch.cat(views)))).float().chunk(2)
        loss: Tensor = self.criterion(first, second)
        return loss
