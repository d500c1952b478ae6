"""Self-distillation: DINO (arXiv 2104.14294)."""

from __future__ import annotations

from typing import cast

import torch
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from lightly.transforms.dino_transform import DINOTransform
from PIL import Image
from torch import Tensor, nn

from segrank.data.dataset import Sample
from segrank.pretrain.network import Network
from segrank.pretrain.objectives.objective import Taught
from segrank.pretrain.spec import PretrainSpec

GLOBAL_VIEWS = 2
HIDDEN, BOTTLENECK = 512, 128


class Views:
    """Two large views (3 H W), then small ones, of half the side."""

    def __init__(self, spec: PretrainSpec) -> None:
        local = [max(spec.patch_size, side // 2 // spec.patch_size * spec.patch_size) for side in spec.crop]
        self.transform = DINOTransform(
            global_crop_size=spec.crop,  # type: ignore[arg-type]  # torchvision takes both
            local_crop_size=tuple(local),  # type: ignore[arg-type]
            n_local_views=spec.local_views,
            normalize=None,
        )

    def __call__(self, sample: Sample) -> list[Tensor]:
        return cast(list[Tensor], self.transform(Image.fromarray(sample.image)))


class SelfDistillation(Taught):
    """The student's output on every view should be the teacher's on the two large ones."""

    def __init__(self, spec: PretrainSpec, network: Network, classes: int) -> None:
        super().__init__(spec, network)
        # built and not copied: what weight normalisation computes cannot be
        self.head, self.teacher_head = (
            DINOProjectionHead(network.dim, HIDDEN, BOTTLENECK, spec.prototypes) for _ in range(2)
        )
        self.teacher_head.load_state_dict(self.head.state_dict())
        self.teacher_head.requires_grad_(False).eval()
        self.teacher: Network = self.teacher_of(network)
        self.criterion = DINOLoss(spec.prototypes)

    @property
    def learnt(self) -> Network:
        """The teacher, as DINO publishes it: an average over the last steps, better than the student throughout."""
        return self.teacher

    def pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.network, self.teacher), (self.head, self.teacher_head)]

    def forward(self, views: list[Tensor]) -> Tensor:
        with torch.no_grad():
            seen = torch.cat(views[:GLOBAL_VIEWS])
            taught = self.teacher_head(self.network.summary(self.teacher(seen)))
        outputs = [self.head(self.network.summary(self.network(part))) for part in self._by_size(views)]
        learnt = [view for output in outputs for view in output.float().chunk(len(output) // len(views[0]))]
        loss: Tensor = self.criterion(list(taught.float().chunk(GLOBAL_VIEWS)), learnt)
        return loss

    def _by_size(self, views: list[Tensor]) -> list[Tensor]:
        """Views of one size in one batch."""
        parts = [views[:GLOBAL_VIEWS], views[GLOBAL_VIEWS:]]
        return [torch.cat(part) for part in parts if part]
