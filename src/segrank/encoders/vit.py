"""Vision transformers of timm, at any crop and patch size, without their heads."""

from __future__ import annotations

import functools
import importlib
import re
from typing import Any

import torch
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm

from segrank.encoders.encoder import features_of, to_map
from segrank.encoders.matching import Convert
from segrank.errors import EncoderError, WeightsError
from segrank.files import nearest

_RUN = "the run's crop and patch size decide on it"
_WEIGHTS = "the run's `weights` decide on it"
_HEAD = "an encoder has no head, and its tokens are not pooled"
_DROP = "the protocol trains without dropout"
BEIT3 = "beit3_"
REFUSED = {
    "img_size": _RUN,
    "patch_size": _RUN,
    "in_chans": "images have three channels",
    "dynamic_img_size": "an encoder is built for the one size that it gets",
    "dynamic_img_pad": "padding would shift the features against the image",
    "strict_img_size": "an encoder is built for the one size that it gets",
    "num_classes": _HEAD,
    "global_pool": "it moves the final norm; features are the tokens as the pretrained model leaves them",
    "features_only": "features are the last block's tokens, with the model's final norm",
    "out_indices": "features are the last block's tokens, with the model's final norm",
    "pretrained": _WEIGHTS,
    "pretrained_cfg": _WEIGHTS,
    "pretrained_cfg_overlay": _WEIGHTS,
    "pretrained_strict": _WEIGHTS,
    "pretrained_filter_fn": _WEIGHTS,
    "pretrained_model_args": _WEIGHTS,
    "checkpoint_path": _WEIGHTS,
    "cache_dir": "the cache's own environment variables decide on it: HF_HOME, HF_HUB_CACHE",
    "device": "the run decides on it",
    "dtype": "the run's precision decides on it",
    "use_naflex": "only timm's plain vision transformers are built here",
    "drop_rate": _DROP,
    "drop_path_rate": _DROP,
    "pos_drop_rate": _DROP,
    "patch_drop_rate": _DROP,
    "proj_drop_rate": _DROP,
    "attn_drop_rate": _DROP,
}
"""Options of timm's models that a reference may not set, and why."""


def probe_vit(name: str, options: dict[str, Any], *, crop: tuple[int, int], patch_size: int) -> int:
    """The dim of a timm model, from shapes alone: it is built and run on the meta device, at no cost.

    Raises:
        EncoderError: timm has no such model or tag, the model is no plain vision transformer, or an option is
        not for it.
    """
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        raise EncoderError(f"timm has no model {base[:80]}", fix=nearest(base, timm.list_models()))
    tags = [full.partition(".")[2] for full in timm.models.get_arch_pretrained_cfgs(base)]
    if tag and tag not in tags:
        known = ", ".join(tags) or "(none)"
        raise EncoderError(f"timm has no weights {tag[:80]} of {base}", wanted=f"one of the tags {known}")
    for option in options:
        if option in REFUSED:
            raise EncoderError(
                f'{name} cannot take the option "{option}": {REFUSED[option]}', fix=f"leave {option} out"
            )
    with torch.device("meta"):
        model = _create(name, options, crop, patch_size).eval()
    needed = ("num_prefix_tokens", "patch_embed", "forward_features", "prune_intermediate_layers")
    if lacking := [part for part in needed if not hasattr(model, part)]:
        raise EncoderError(
            f"{name} is no plain vision transformer: timm's {type(model).__name__} has no {lacking[0]}",
            wanted="one token per patch from end to end, class or register tokens in front",
        )
    try:
        with torch.no_grad():
            features = features_of(model, torch.zeros(1, 3, *crop, device="meta"))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise EncoderError(f"{name} fails at {crop[0]}x{crop[1]}, patch {patch_size}: {reason}") from error
    return to_map(features, model, (crop[0] // patch_size, crop[1] // patch_size), name).shape[1]


def build_vit(name: str, options: dict[str, Any], *, crop: tuple[int, int], patch_size: int, seed: int) -> nn.Module:
    """A timm model with random weights, ready for `forward_features`.

    What stands behind the tokens (classifier, pooling, `fc_norm`) is taken out, so that every parameter left
    takes part in the features. The final norm is left as timm's `forward_features` has it: applied by models
    that normalise their tokens, absent where the norm follows the pooling (EVA-02). BEiT-3 is the exception:
    its own norm is on the tokens, timm's default puts it behind the pooling, so it is built with
    `global_pool="token"`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's; torch.manual_seed would seed GPUs as well
        model: nn.Module = _create(name, options, crop, patch_size)
    model.prune_intermediate_layers(1, prune_norm=False, prune_head=True)  # type: ignore[operator]
    return model


def _create(name: str, options: dict[str, Any], crop: tuple[int, int], patch_size: int) -> Any:
    # Any: timm's models share attributes, but no typed base class
    if name.startswith(BEIT3):
        options = {**options, "global_pool": "token"}
    try:
        return timm.create_model(name, img_size=crop, patch_size=patch_size, num_classes=0, **options)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        unknown = re.search(r"unexpected keyword argument '(\w+)'", reason)
        if unknown and unknown[1] in options:
            raise EncoderError(f'{name} knows no option "{unknown[1]}"', fix=f"leave {unknown[1]} out") from error
        if unknown:
            raise EncoderError(
                f"{name} cannot be built for a crop and a patch size: it takes no {unknown[1]}",
                wanted="a plain vision transformer, which keeps one token per patch from end to end",
            ) from error
        raise EncoderError(
            f"timm cannot build {name} with crop {crop[0]}x{crop[1]}, patch {patch_size}"
            f"{f' and options {options}' if options else ''}: {reason}",
            wanted="a plain vision transformer of timm, and options that fit it",
        ) from error


def checkpoint_filter(name: str) -> Convert | None:
    """timm's own conversion of a file's tensors for this model: names, patch weights, position tables.

    Each family's module has a `checkpoint_filter_fn`, which timm calls with the arguments given here.

    Raises:
        WeightsError: for RADIO, whose filter needs settings that timm keeps to itself.
    """
    base = name.partition(".")[0]
    if "radio" in base:
        raise WeightsError(f"weights of {base} cannot be resampled here", fix="use weights=random")
    family = importlib.import_module(timm.model_entrypoint(base).__module__)
    convert = getattr(family, "checkpoint_filter_fn", None)
    if convert is None:
        return None
    if family.__name__ == "timm.models.deit":
        return functools.partial(convert, adapt_layer_scale=True)
    if base.startswith("flexivit"):
        return functools.partial(convert, interpolation="bilinear", antialias=False)
    if base.startswith(BEIT3):
        return functools.partial(_beit3, convert)
    found: Convert = convert
    return found


def _beit3(convert: Convert, tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The norm over BEiT-3's tokens is `layer_norm` in its pretrained files, `fc_norm` in fine-tuned ones."""
    converted = convert(tensors, model)
    named = [part for part in ("norm", "layer_norm", "fc_norm") if f"{part}.weight" in converted]
    source = named[0] if named else "norm"  # a file with neither lacks norm.weight, and is refused for that
    for kind in ("weight", "bias"):
        if f"{source}.{kind}" in converted:
            converted[f"norm.{kind}"] = converted.pop(f"{source}.{kind}")
    return converted
