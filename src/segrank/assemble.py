"""From a spec to the objects that it names: the one place where they are wired together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from segrank.data.dataset import Split
from segrank.decoders.linear import LinearDecoder
from segrank.encoders.build import build_encoder
from segrank.encoders.reference import encoder_digests
from segrank.errors import SpecError
from segrank.record import WeightsReport
from segrank.spec import Precision, RunSpec, identity
from segrank.train.segmenter import Segmenter

DECODERS = {"linear": LinearDecoder}

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


def resolve_precision(spec: RunSpec, device: str) -> Precision:
    """What `auto` comes to on this device; fp16 needs a GPU.

    Raises:
        SpecError: the device cannot do it.
    """
    if spec.precision == "auto":
        if device == "cpu":
            return "fp32"
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if spec.precision == "fp16" and device == "cpu":
        raise SpecError("precision=fp16 needs a GPU", fix="--set precision=bf16 or fp32")
    return spec.precision


def make_fabric(device: str, devices: int, precision: Precision) -> Fabric:
    """Fabric on `devices` devices of a kind; several run DDP, one process each."""
    strategy = "auto" if devices == 1 else "ddp"
    return Fabric(
        accelerator=device,
        devices=devices,
        strategy=strategy,
        precision=_FABRIC_PRECISION[precision],  # type: ignore[arg-type]
    )


def identify(spec: RunSpec, train_split: Split, precision: Precision) -> dict[str, Any]:
    """The run's identity, with the digests of the files that the spec names."""
    digests = {**encoder_digests(spec.encoder, spec.weights), "dataset": train_split.digest()}
    return identity(spec, digests, precision)


def build_segmenter(
    spec: RunSpec, classes: int, *, weights: str | Path | None = None
) -> tuple[Segmenter, WeightsReport]:
    """Encoder and decoder as the spec says, on the CPU in float32; equal specs give equal values.

    Args:
        weights: instead of the spec's, as in `RunSpec.weights`.
    """
    encoder, report = build_encoder(
        spec.encoder,
        crop=spec.crop,
        patch_size=spec.patch_size,
        weights=str(weights or spec.weights),
        normalisation=spec.normalisation,
        seed=spec.seed,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        decoder = DECODERS[spec.decoder](encoder.dim, classes)
    return Segmenter(encoder, decoder, freeze=spec.freeze), report
