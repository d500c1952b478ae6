"""`timm:NAME` -> an encoder's parts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm

from segrank.encoders.checkpoints import read_weights
from segrank.encoders.encoder import Parts, features_of, to_map
from segrank.encoders.hierarchical import create_stage, stage_filter
from segrank.encoders.hub import obtain
from segrank.encoders.idle import idle_parameters
from segrank.encoders.matching import Convert, load_weights
from segrank.encoders.sam import create_sam, sam_filter
from segrank.encoders.timm_model import Kind, check_name, kind_of, published
from segrank.encoders.vit import create_vit, vit_filter
from segrank.errors import EncoderError
from segrank.record import WeightsReport

_CREATE: dict[Kind, Callable[..., nn.Module]] = {
    "plain": create_vit,
    "sam": create_sam,
    "hierarchical": create_stage,
}


def build_timm(
    name: str, options: dict[str, Any], *, crop: tuple[int, int], patch_size: int, weights: str, seed: int
) -> Parts:
    """A timm model as an encoder, with its weights.

    Raises:
        EncoderError: unknown, or not to be built as asked. WeightsError: its weights cannot be had or do not fit.
    """
    check_name(name, options)
    create = functools.partial(_CREATE[kind_of(name)], name, options, crop=crop, patch_size=patch_size)
    # in order of cost: shapes, the weights' file, the model
    dim = _probe(create, name, crop, patch_size)
    file, source = _weights_file(name, weights)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's; torch.manual_seed would seed GPUs as well
        backbone = create()
    core = getattr(backbone, "core", backbone)
    report = WeightsReport(source=source)
    if file is not None:
        convert, whole = _filter(name, options, crop)
        tensors, sha256 = read_weights(file)
        report = load_weights(
            core, tensors, file=str(file), model_name=name[:120], source=source, sha256=sha256, convert=convert,
            behind=whole,
        )  # fmt: skip
    config = timm.data.resolve_model_data_config(core)  # type: ignore[attr-defined, no-untyped-call]
    return Parts(backbone, dim, lambda: (config["mean"], config["std"]), report)


def _probe(create: Callable[[], nn.Module], name: str, crop: tuple[int, int], patch_size: int) -> int:
    """The dim of the features, from shapes alone: the model is built and run on the meta device, at no cost."""
    with torch.device("meta"):
        backbone = create().eval()
    try:
        with torch.enable_grad():  # which parameters take part is told by their gradients
            features = features_of(backbone, torch.zeros(1, 3, *crop, device="meta"))
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        core: Any = getattr(backbone, "core", backbone)
        largest = max((stage["reduction"] for stage in core.feature_info), default=1)
        uneven = any(side % largest for side in crop)
        raise EncoderError(
            f"{name} fails at {crop[0]}x{crop[1]}, patch {patch_size}: {reason}",
            fix=f"use a crop whose sides are multiples of {largest}" if uneven else "",
        ) from error
    features = to_map(features, backbone, (crop[0] // patch_size, crop[1] // patch_size), name)
    if idle := idle_parameters(backbone, features):
        raise EncoderError(
            f"{len(idle)} parameters of {name} take no part in its features, such as {idle[0]}",
            wanted="features that every parameter left in the encoder works on",
        )
    return features.shape[1]


def _filter(name: str, options: dict[str, Any], crop: tuple[int, int]) -> tuple[Convert | None, frozenset[str]]:
    """How a file's tensors become the model's, and which of them may stand behind its features."""
    match kind_of(name):
        case "plain":
            return vit_filter(name), frozenset()
        case "sam":
            return sam_filter(name), frozenset()
        case "hierarchical":
            return stage_filter(name, options, crop=crop)


def _weights_file(name: str, weights: str) -> tuple[Path | None, str]:
    """The weights file, and what a report calls it."""
    if weights == "random":
        return None, "random"
    if weights != "pretrained":
        return Path(weights), Path(weights).name
    file, tag = published(name)
    return obtain(file), f"pretrained: {tag}"
