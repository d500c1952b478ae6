"""From a spec to the objects that it names: the one place where they are wired together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn

from segrank.decoders.eomt import EomtDecoder
from segrank.decoders.linear import LinearDecoder
from segrank.decoders.mask2former import Mask2FormerDecoder
from segrank.decoders.mask_targets import BACKGROUND
from segrank.decoders.sizes import doublings, shared_blocks
from segrank.encoders.build import build_encoder
from segrank.encoders.encoder import Encoder
from segrank.encoders.open_vit import OpenViT, depth
from segrank.encoders.trained_part import add_adapters, train_last_blocks
from segrank.errors import SpecError
from segrank.record import WeightsReport
from segrank.spec import Precision, RunSpec
from segrank.train.segmenter import Segmenter


def _maskable(classes: int) -> None:
    """Raises SpecError for more classes than the loss of masks has room for."""
    if classes > BACKGROUND:
        raise SpecError(
            f"a decoder of masks for {classes} classes", wanted=f"at most {BACKGROUND}", fix="use decoder=linear"
        )


def _linear(spec: RunSpec, encoder: Encoder, classes: int) -> tuple[Encoder, nn.Module]:
    return encoder, LinearDecoder(encoder.dim, classes)


def _mask2former(spec: RunSpec, encoder: Encoder, classes: int) -> tuple[Encoder, nn.Module]:
    _maskable(classes)
    return encoder, Mask2FormerDecoder(encoder.dim, classes, ignored=spec.ignored_pixels)


def _eomt(spec: RunSpec, encoder: Encoder, classes: int) -> tuple[Encoder, nn.Module]:
    _maskable(classes)
    shared = shared_blocks(depth(encoder))
    decoder = EomtDecoder(
        encoder.dim, classes, blocks=shared, doublings=doublings(spec.patch_size), ignored=spec.ignored_pixels
    )
    return OpenViT(encoder, shared), decoder


DECODERS = {"linear": _linear, "mask2former": _mask2former, "eomt": _eomt}
"""A spec's decoder on an encoder, and the encoder as that decoder takes it."""

_FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def resolve_device(device: str) -> str:
    """`auto` becomes `cuda` where there is a GPU, else `cpu`.

    Raises:
        SpecError: no such device here.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise SpecError(f'there is no device "{device[:40]}"', wanted="auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise SpecError("there is no CUDA device here", fix="--device cpu, or a build of torch for this GPU")
    return device


def resolve_precision(asked: str, device: str) -> Precision:
    """What a spec's `precision` comes to on this device: `auto` is resolved; fp16 needs a GPU.

    Raises:
        SpecError: the device cannot do it.
    """
    if asked == "auto":
        if device == "cpu":
            return "fp32"
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if asked == "fp16" and device == "cpu":
        raise SpecError("precision=fp16 needs a GPU", fix="--set precision=bf16 or fp32")
    return cast(Precision, asked)


def check_devices(batch_size: int, device: str, devices: int) -> None:
    """Raises SpecError if there are not so many devices, or the batch does not divide among them."""
    there = torch.cuda.device_count() if device == "cuda" else devices
    if not 1 <= devices <= there:
        raise SpecError(f"{devices} devices were asked for", wanted=f"1 to {max(there, 1)} of {device}")
    if batch_size % devices:
        raise SpecError(
            f"batch_size {batch_size} does not divide among {devices} devices",
            fix=f"use a number of devices that divides {batch_size}",
        )


def make_fabric(device: str, devices: int, precision: Precision) -> Fabric:
    """Fabric on `devices` devices of a kind; several run DDP, one process each."""
    torch.backends.cuda.matmul.allow_tf32 = False  # fp32 means fp32
    torch.backends.cudnn.allow_tf32 = False
    return Fabric(
        accelerator=device,
        devices=devices,
        strategy="auto" if devices == 1 else "ddp",
        # its own processes, also inside a job of SLURM's, where Fabric would else wait for srun to start them
        plugins=[LightningEnvironment()],
        precision=_FABRIC_PRECISION[precision],  # type: ignore[arg-type]
    )


def default_workers(fabric: Fabric) -> int:
    """Processes that prepare data for each device. On a CPU they would only take cores from the training."""
    if fabric.device.type == "cpu":
        return 0
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cpus // fabric.world_size)


def build_segmenter(
    spec: RunSpec, classes: int, *, weights: str | Path | None = None
) -> tuple[Segmenter, WeightsReport]:
    """Encoder and decoder as the spec says, on the CPU in float32; equal specs give equal values.

    Args:
        weights: instead of the spec's, as in `RunSpec.weights`.

    Raises:
        EncoderError: the encoder cannot be built so, cannot have this decoder, or cannot be trained in part.
        WeightsError: its weights cannot be had or do not fit.
    """
    encoder, report = build_encoder(
        spec.encoder,
        crop=spec.crop,
        patch_size=spec.patch_size,
        weights=str(weights or spec.weights),
        normalisation=spec.normalisation,
        seed=spec.seed,
    )
    if spec.trained_blocks != "all":
        train_last_blocks(encoder, spec.trained_blocks)
    if spec.lora_rank:
        add_adapters(encoder, rank=spec.lora_rank, alpha=spec.lora_alpha, seed=spec.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        encoder, decoder = DECODERS[spec.decoder](spec, encoder, classes)
    partly = spec.trained_blocks != "all" or spec.lora_rank > 0
    return Segmenter(encoder, decoder, freeze=spec.freeze, partly=partly), report
