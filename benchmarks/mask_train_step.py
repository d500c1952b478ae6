"""A training step with the Mask2Former decoder beside the plain one.

    python benchmarks/mask_train_step.py [NAME ...]

512x512, 16x16 patches, 150 classes, 100 queries, 2 images, random weights, end to end. Plain: timm's model, a decoder
of `nn.MultiheadAttention` that predicts after each block, boolean masks and transformers' loss (`mask_loss.plain`),
AdamW with torch's defaults. bf16 is autocast of the network on both sides; the plain loss is in float32 too, since
scipy takes no bf16. Takes about 5 minutes on 2 cores for a ViT-S. Needs transformers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from mask_loss import CLASSES, CROP, inputs
from mask_loss import plain as plain_loss
from paired import Call, paired
from torch import Tensor

from segrank.decoders.mask2former import Mask2FormerDecoder
from segrank.decoders.mask_output import MaskOutput
from segrank.encoders.build import build_encoder
from segrank.train.optim import adamw
from segrank.train.segmenter import Segmenter

# isort: split
import timm

sys.path.append(str(Path(__file__).parents[1] / "tests/decoders"))
from plain_mask_decoder import PlainMaskDecoder

PRESENT = (5, 15, 40)
"""Classes in an image."""


def batch(present: int) -> tuple[Tensor, Tensor]:
    labels = inputs(16, present)[1]
    images = torch.randint(0, 256, (len(labels), 3, CROP, CROP), generator=torch.Generator().manual_seed(0))
    return images.to(torch.uint8), labels


def autocast(bf16: bool) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16)


def plain(name: str, present: int, bf16: bool) -> Call:
    encoder: Any = timm.create_model(name, img_size=CROP, num_classes=0)
    decoder = PlainMaskDecoder(Mask2FormerDecoder(encoder.embed_dim, CLASSES))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=1e-5, weight_decay=0.05)
    images, labels = batch(present)
    grid = encoder.patch_embed.grid_size

    def step() -> None:
        with autocast(bf16):
            tokens = encoder.forward_features(images.float() / 127.5 - 1)[:, encoder.num_prefix_tokens :]
            classes, masks = zip(*decoder(tokens.transpose(1, 2).unflatten(2, grid)), strict=True)
        loss = plain_loss(MaskOutput(torch.stack(classes).float(), torch.stack(masks).float()), labels) / len(labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    return step


def ours(name: str, present: int, bf16: bool) -> Call:
    encoder, _ = build_encoder(f"timm:{name}", crop=(CROP, CROP), patch_size=16, weights="random")
    model = Segmenter(encoder, Mask2FormerDecoder(encoder.dim, CLASSES, ignored="negative"), freeze=False)
    optimizer = adamw(model, lr=1e-4, encoder_lr_multiplier=0.1, weight_decay=0.05)
    images, labels = batch(present)

    def step() -> None:
        with autocast(bf16):
            loss = model(images, labels).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main(names: list[str]) -> None:
    for name in names:
        for bf16 in (False, True):
            for present in PRESENT:
                torch.manual_seed(0)
                what = f"{name}, {'bf16' if bf16 else 'fp32'}, {present} classes"
                print(paired(what, plain(name, present, bf16), ours(name, present, bf16), rounds=5), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["vit_small_patch16_224"])
