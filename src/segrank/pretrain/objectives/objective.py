"""What an objective is to the training loop."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from lightly.models import utils
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn

from segrank.pretrain.network import Network
from segrank.pretrain.spec import PretrainSpec

M = TypeVar("M", bound=nn.Module)


class Objective(nn.Module):
    """Views of a batch of images -> one loss.

    Args:
        spec: the pretraining.
        network: what is pretrained.
    """

    def __init__(self, spec: PretrainSpec, network: Network) -> None:
        super().__init__()
        self.spec, self.network = spec, network

    @property
    def learnt(self) -> Network:
        """What is published."""
        return self.network

    def forward(self, views: list[Tensor]) -> Tensor:
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Told after each optimiser step how many are done."""

    def trained_state(self) -> dict[str, Any]:
        """All of it: averages that move are part of it."""
        return self.state_dict()

    def load_trained_state(self, state: dict[str, Any]) -> None:
        """Take back what `trained_state` gave."""
        self.load_state_dict(state)


class Taught(Objective):
    """An objective whose targets come from a slowly moving copy of what learns (an exponential moving average)."""

    def teacher_of(self, student: M) -> M:
        """A copy that no gradient reaches, in evaluation mode."""
        return copy.deepcopy(student).requires_grad_(False).eval()

    def pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Students with their teachers."""
        raise NotImplementedError

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        momentum = cosine_schedule(step, self.spec.steps, self.spec.teacher_momentum, 1)
        for student, teacher in self.pairs():
            utils.update_momentum(student, teacher, momentum)

    def train(self, mode: bool = True) -> Taught:
        super().train(mode)
        for _, teacher in self.pairs():
            teacher.eval()
        return self
