"""The linear decoder's loss beside the plain one: forward and backward together, time and memory.

    python benchmarks/loss.py

Plain: `F.interpolate` to the crop, `F.cross_entropy` without reduction, the mean of each image. It is timed on logits
that are contiguous, and on channels-last-strided ones, which is what a linear layer on tokens gives. Two images. Memory
is what a call takes at most beyond its inputs. Takes about a minute on 2 cores.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from paired import Call, paired, peak_mib
from torch import Tensor

from segrank.decoders.upsampled_cross_entropy import upsampled_cross_entropy

IMAGES = 2
CASES = [(512, 16, 150), (512, 8, 150), (1024, 16, 19)]
"""(crop_px, patch_px, classes)."""


def plain_losses(logits: Tensor, labels: Tensor) -> Tensor:
    upsampled = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
    pixels = F.cross_entropy(upsampled, labels.long(), ignore_index=255, reduction="none")
    return pixels.sum(dim=(1, 2)) / (labels != 255).sum(dim=(1, 2)).clamp(min=1)


def prepare(
    losses: Callable[[Tensor, Tensor], Tensor], crop: int, patch: int, classes: int, channels_last: bool = False
) -> Call:
    """Random logits; labels in squares of 32 pixels, and one in ten of them ignored."""
    generator = torch.Generator().manual_seed(0)
    side = crop // patch
    logits = 3 * torch.randn(IMAGES, classes, side, side, generator=generator)
    if channels_last:
        logits = logits.to(memory_format=torch.channels_last)
    squares = torch.randint(0, classes, (IMAGES, crop // 32, crop // 32), dtype=torch.uint8, generator=generator)
    squares[torch.rand(squares.shape, generator=generator) < 0.1] = 255
    labels = squares.repeat_interleave(32, 1).repeat_interleave(32, 2)
    logits.requires_grad_()

    def call() -> Tensor:
        (gradient,) = torch.autograd.grad(losses(logits, labels).mean(), logits)
        return gradient

    warm = losses(logits[..., :2, :2], labels[:, :8, :8])  # compiles, or loads what was compiled before
    torch.autograd.grad(warm.mean(), logits)
    return call


def main() -> None:
    for case in CASES:
        crop, patch, classes = case
        print(f"{crop}x{crop}, {patch}x{patch} patches, {classes} classes")
        plain, ours = partial(prepare, plain_losses, *case), partial(prepare, upsampled_cross_entropy, *case)
        torch.testing.assert_close(ours()(), plain()(), rtol=1e-4, atol=1e-9)
        strided = partial(plain, channels_last=True)
        print(f"  {paired('contiguous logits', plain(), ours(), rounds=5)}")
        print(f"  {paired('plain on channels-last-strided logits', strided(), ours(), rounds=3)}")
        least = peak_mib(ours)
        for name, way in (("plain", plain), ("channels-last", strided)):
            taken = peak_mib(way)
            print(f"  {f'memory, {name}':<44} plain {taken:5.0f} MiB  ours {least:5.1f} MiB  {taken / least:6.1f}x")


if __name__ == "__main__":
    main()
