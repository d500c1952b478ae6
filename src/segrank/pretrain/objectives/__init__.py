"""What can be learnt from images: a short file and a row for each objective; `none` has neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from segrank.data.dataset import Sample
from segrank.pretrain.network import Network
from segrank.pretrain.objectives import (
    abstract_mim,
    contrastive,
    pixel_mim,
    promptable,
    self_distillation,
    supervised,
)
from segrank.pretrain.objectives.objective import Objective
from segrank.pretrain.spec import Objective as Name
from segrank.pretrain.spec import PretrainSpec
from segrank.pretrain.views import Views

__all__ = ["OBJECTIVES", "Objective", "Way"]


class Way(NamedTuple):
    """How an objective is pursued."""

    views: Callable[[PretrainSpec], Callable[[Sample], Views]]
    """What it sees of an image: picklable, and random by the global generators only."""
    build: Callable[[PretrainSpec, Network, int], Objective]
    """From the spec, the network and the number of classes of the dataset."""


OBJECTIVES: dict[Name, Way] = {
    "supervised": Way(supervised.Views, supervised.Supervised),
    "pixel-mim": Way(pixel_mim.Views, pixel_mim.PixelMim),
    "abstract-mim": Way(pixel_mim.Views, abstract_mim.AbstractMim),
    "self-distillation": Way(self_distillation.Views, self_distillation.SelfDistillation),
    "contrastive": Way(contrastive.Views, contrastive.Contrastive),
    "promptable": Way(promptable.Views, promptable.Promptable),
}
