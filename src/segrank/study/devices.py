"""The GPUs of this machine, and what `auto` comes to, asked of the driver: planning does without torch."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from typing import NamedTuple

from segrank.errors import SpecError
from segrank.pretrain.spec import PretrainSpec
from segrank.spec import Precision, RunSpec

_BF16_FROM = 8.0
"""Compute capability (Ampere) from which `torch.cuda.is_bf16_supported(including_emulation=False)` holds."""


class Gpu(NamedTuple):
    name: str
    """As CUDA_VISIBLE_DEVICES takes it."""
    bf16: bool


def visible_gpus() -> tuple[Gpu, ...]:
    """Those that a process started here may use: what `nvidia-smi` lists, as CUDA_VISIBLE_DEVICES narrows it down."""
    return _visible(os.environ.get("CUDA_VISIBLE_DEVICES"))


@functools.cache
def _visible(chosen: str | None) -> tuple[Gpu, ...]:
    if chosen is not None and not chosen.strip():
        return ()
    there = _listed()
    if chosen is None:
        return tuple(gpu for _, gpu in there)
    found = []
    for name in (part.strip() for part in chosen.split(",")):
        match = [gpu for uuid, gpu in there if gpu.name == name or (name and uuid.startswith(name))]
        if not match:  # CUDA stops at the first name that is none
            break
        found.append(Gpu(name, match[0].bf16))
    return tuple(found)


def _listed() -> list[tuple[str, Gpu]]:
    """UUID and GPU of each that the driver knows; none where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,uuid,compute_cap", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        rows = [[part.strip() for part in line.split(",")] for line in asked.stdout.splitlines() if line.strip()]
        return [(uuid, Gpu(index, float(capability) >= _BF16_FROM)) for index, uuid, capability in rows]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def device_for(device: str) -> str:
    """`auto` becomes `cuda` where this machine has a GPU, else `cpu`. A study says `cuda` where its nodes have some.

    Raises:
        SpecError: there is no such device.
    """
    if device == "auto":
        return "cuda" if visible_gpus() else "cpu"
    if device not in ("cpu", "cuda"):
        raise SpecError(f'there is no device "{device[:40]}"', wanted="auto, cpu or cuda")
    return device


def precision_for(spec: RunSpec | PretrainSpec, device: str) -> Precision:
    """What a spec's precision comes to, the same wherever it is asked: a run's key follows from it.

    `auto` is fp32 on a CPU. On `cuda` this machine's GPUs decide, bf16 or else fp16, and where it has none (the head of
    a cluster) bf16, which every GPU since 2020 does. For a cluster of older ones a study sets `precision: fp16`.

    Raises:
        SpecError: the device cannot do it.
    """
    if spec.precision == "auto":
        if device == "cpu":
            return "fp32"
        return "bf16" if all(gpu.bf16 for gpu in visible_gpus()) else "fp16"
    if spec.precision == "fp16" and device == "cpu":
        raise SpecError("precision=fp16 needs a GPU", fix="set precision to bf16 or fp32")
    return spec.precision


@functools.cache
def gpu_model() -> str:
    """Of this machine's first GPU, as `torch.cuda.get_device_name` calls it; empty where there is none."""
    if not visible_gpus():
        return ""
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return asked.stdout.splitlines()[0].strip()
    except (OSError, IndexError, subprocess.SubprocessError):
        return ""
