"""Masked image modelling of abstract targets: data2vec (arXiv 2202.03555)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightly.models import utils
from torch import Tensor, nn

from segrank.pretrain.network import Network
from segrank.pretrain.objectives.objective import Taught
from segrank.pretrain.objectives.pixel_mim import masked, token_masks
from segrank.pretrain.spec import PretrainSpec


class AbstractMim(Taught):
    """The student sees the image with masked patches replaced by a token, and predicts there what the teacher makes of
    the whole image: the mean of its last blocks' outputs, each normalised over its channels."""

    def __init__(self, spec: PretrainSpec, network: Network, classes: int) -> None:
        super().__init__(spec, network)
        self.student = masked(network)
        nn.init.trunc_normal_(self.student.mask_token, std=0.02)
        self.predict = nn.Linear(network.dim, network.dim)
        self.teacher = self.teacher_of(self.student)

    def pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.student, self.teacher)]

    def forward(self, views: list[Tensor]) -> Tensor:
        images = self.network.normalised(views[0])
        length, prefix = self.student.sequence_length, self.network.prefix
        _, hidden = token_masks(len(images), length, prefix, self.spec.mask_ratio, images.device)
        with torch.no_grad():
            _, blocks = self.teacher.forward_intermediates(images)
            last = [F.layer_norm(utils.get_at_index(tokens, hidden).float(), (self.network.dim,))
                    for tokens in blocks[-self.spec.target_blocks :]]  # fmt: skip
            target = F.layer_norm(torch.stack(last).mean(dim=0), (self.network.dim,))
        tokens = self.student.encode(images, idx_mask=hidden)
        predicted = self.predict(utils.get_at_index(tokens, hidden))
        return F.smooth_l1_loss(predicted.float(), target)
