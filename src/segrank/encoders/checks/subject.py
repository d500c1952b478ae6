"""The encoder that is checked, and how to have it again at another size or from another seed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segrank.data.scenes import SceneOptions, SceneSplit
from segrank.encoders.build import build_encoder
from segrank.encoders.encoder import Encoder
from segrank.record import WeightsReport


@dataclass(frozen=True)
class Subject:
    """What is to be built. Sizes are (height, width), pixels."""

    reference: str
    weights: str
    crop: tuple[int, int]
    patch_size: int
    device: torch.device
    seed: int = 0

    def build(
        self, crop: tuple[int, int] | None = None, patch_size: int | None = None, seed: int | None = None
    ) -> tuple[Encoder, WeightsReport]:
        """In evaluation mode, on the device; as asked for, apart from what is given here.

        Raises:
            EncoderError: it cannot be built so.
        """
        encoder, report = build_encoder(
            self.reference,
            crop=crop or self.crop,
            patch_size=patch_size or self.patch_size,
            weights=self.weights,
            seed=self.seed if seed is None else seed,
        )
        return encoder.to(self.device).eval(), report

    def smaller(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Two other sizes: about half the crop, and one of another shape (half as high, or square)."""
        height, width = (self._half(side) for side in self.crop)
        return (height, width), (height, self.crop[1]) if height != self.crop[1] else (height, height)

    def _half(self, side: int) -> int:
        # the strides of hierarchical models go up to 32
        unit = 32 if side % 32 == 0 and 32 % self.patch_size == 0 else self.patch_size
        return max(unit, side // 2 // unit * unit)


def pictures(count: int, size: tuple[int, int], device: torch.device) -> Tensor:
    """Generated scenes (count 3 H W), uint8: something to look at for which no files are needed."""
    split = SceneSplit(SceneOptions(size=(max(16, size[0]), max(16, size[1])), val=count), "val")
    images = [torch.from_numpy(split[index].image).permute(2, 0, 1)[:, : size[0], : size[1]] for index in range(count)]
    return torch.stack(images).to(device)


def core_of(encoder: Encoder) -> nn.Module:
    """The model inside what segrank wraps around it."""
    core: nn.Module = getattr(encoder.backbone, "core", encoder.backbone)
    return core
