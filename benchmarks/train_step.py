"""A training step of the base setting beside the one that a user would write, and the share of this machine's peak.

    python benchmarks/train_step.py [NAME ...]

512x512, 16x16 patches, 150 classes, 2 images, random weights. Plain: timm's model, a linear layer on its tokens,
logits upsampled to the crop, cross-entropy, AdamW with torch's defaults. bf16 is autocast on both sides. Takes about
10 minutes on 2 cores for ViT-Ti, S and B.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from paired import Call, paired
from torch import nn

from segrank.decoders.linear import LinearDecoder
from segrank.encoders.build import build_encoder
from segrank.train.cost import count_shapes
from segrank.train.optim import adamw
from segrank.train.segmenter import Segmenter

# isort: split
import timm

CROP, CLASSES, IMAGES = (512, 512), 150, 2
NAMES = ("vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224")


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 3, *CROP), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, CLASSES, (IMAGES, *CROP), dtype=torch.uint8, generator=generator)


def autocast(bf16: bool) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16)


def plain(name: str, bf16: bool) -> Call:
    encoder: Any = timm.create_model(name, img_size=CROP, num_classes=0)
    head = nn.Linear(encoder.embed_dim, CLASSES)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-5, weight_decay=0.05)
    images, labels = batch()
    grid = encoder.patch_embed.grid_size

    def step() -> None:
        with autocast(bf16):
            tokens = encoder.forward_features(images.float() / 127.5 - 1)[:, encoder.num_prefix_tokens :]
            logits = head(tokens).transpose(1, 2).unflatten(2, grid)
            upsampled = F.interpolate(logits, size=CROP, mode="bilinear")
            loss = F.cross_entropy(upsampled, labels.long(), ignore_index=255)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def segmenter(name: str) -> Segmenter:
    encoder, _ = build_encoder(f"timm:{name}", crop=CROP, patch_size=16, weights="random")
    return Segmenter(encoder, LinearDecoder(encoder.dim, CLASSES), freeze=False)


def ours(name: str, bf16: bool) -> Call:
    model = segmenter(name)
    optimizer = adamw(model, lr=1e-4, encoder_lr_multiplier=0.1, weight_decay=0.05)
    images, labels = batch()

    def step() -> None:
        with autocast(bf16):
            loss = model(images, labels).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def gemm_peak(dtype: torch.dtype, side: int = 4096) -> float:
    """FLOP/s of the best of five products of two square matrices."""
    a, b = torch.randn(side, side, dtype=dtype), torch.randn(side, side, dtype=dtype)
    return 2 * side**3 / min(seconds(lambda: a @ b) for _ in range(5))


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main(names: list[str]) -> None:
    torch.manual_seed(0)
    peaks = {bf16: gemm_peak(torch.bfloat16 if bf16 else torch.float32) for bf16 in (False, True)}
    print(f"GEMM peak: {peaks[False] / 1e9:.0f} GFLOP/s fp32, {peaks[True] / 1e9:.0f} bf16")
    for name in names:
        flops = count_shapes(segmenter(name), CROP).train_flops or 0
        for what, plain_bf16, ours_bf16 in (
            ("fp32 against fp32", False, False),
            ("bf16 against fp32", False, True),
            ("bf16 against bf16", True, True),
        ):
            ratio = paired(f"{name}, {what}", plain(name, plain_bf16), ours(name, ours_bf16), rounds=5)
            share = IMAGES * flops / ratio.ours_s / peaks[ours_bf16]
            print(f"{ratio}  {share:.0%} of the GEMM peak", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(NAMES))
