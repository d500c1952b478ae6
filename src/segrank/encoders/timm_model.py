"""timm's models by name: what a reference may ask for, and which kind of encoder a model makes."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from typing import Any, Literal

import torch
from torch import nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm
from timm.layers.drop import DropPath

from segrank.encoders.hub import HubFile, timm_file
from segrank.encoders.matching import Convert
from segrank.errors import EncoderError
from segrank.files import nearest

Kind = Literal["plain", "sam", "hierarchical"]

_RUN = "the run's crop and patch size decide on it"
_WEIGHTS = "the run's `weights` decide on it"
_HEAD = "an encoder has no head, and its tokens are not pooled"
_DROP = "the protocol trains without dropout"
REFUSED = {
    "img_size": _RUN,
    "patch_size": _RUN,
    "in_chans": "images have three channels",
    "dynamic_img_size": "an encoder is built for the one size that it gets",
    "dynamic_img_pad": "padding would shift the features against the image",
    "strict_img_size": "an encoder is built for the one size that it gets",
    "num_classes": _HEAD,
    "global_pool": "it moves the final norm; features are the tokens as the pretrained model leaves them",
    "features_only": "the run's patch size decides which features are taken",
    "out_indices": "the run's patch size decides which features are taken",
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
    "use_naflex": "NaFlexVit takes patches, not images",
    "drop_rate": _DROP,
    "drop_path_rate": _DROP,
    "pos_drop_rate": _DROP,
    "patch_drop_rate": _DROP,
    "proj_drop_rate": _DROP,
    "attn_drop_rate": _DROP,
}
"""Options of timm's models that a reference may not set, and why."""


def check_name(name: str, options: dict[str, Any]) -> None:
    """Whether timm has this model and tag, and a reference may set these options.

    Raises:
        EncoderError: if not, with the nearest name or the tags that there are.
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


def published(name: str) -> tuple[HubFile, str]:
    """Where the hub has the pretrained weights of a model, and their tag.

    Raises:
        EncoderError: timm knows of none. WeightsError: they are not on the hub.
    """
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        every = timm.models.get_arch_pretrained_cfgs(name)
        tags = [full for full, other in every.items() if other.has_weights]
        raise EncoderError(
            f"timm has no pretrained weights for {name}",
            wanted=f"one of {', '.join(tags)}" if tags else "",
            fix="use --weights FILE with a file of your own, or weights=random",
        )
    return timm_file(config, name), config.tag or name


@functools.lru_cache(maxsize=8)
def sample(base: str) -> Any:
    """The model as timm builds it by default, without a head, on the meta device: shapes at no cost.

    Raises:
        EncoderError: timm cannot build it there.
    """
    with torch.device("meta"):
        return create(base, {})


def kind_of(name: str) -> Kind:
    """Which kind of encoder a model makes.

    `plain` keeps one token per patch from end to end, `hierarchical` ends its stages at several strides,
    `sam` is timm's plain vision transformer with windows and relative positions.

    Raises:
        EncoderError: none of them.
    """
    model = sample(name.partition(".")[0])
    if isinstance(model, timm.models.VisionTransformerSAM):
        return "sam"
    if len({stage["reduction"] for stage in _stages(model)}) > 1 and hasattr(model, "forward_intermediates"):
        return "hierarchical"
    needed = ("num_prefix_tokens", "patch_embed", "forward_features", "prune_intermediate_layers")
    lacking = [part for part in needed if not hasattr(model, part)]
    lacking += [size for size in ("img_size", "patch_size") if not takes(model, size)]
    if lacking:
        raise EncoderError(
            f"{name} can be no encoder here: timm's {type(model).__name__} has no {lacking[0]}",
            wanted="a plain vision transformer, or a model whose stages have strides of their own",
            fix="use the vit_ model of the same weights" if name.startswith("naflexvit") else "",
        )
    return "plain"


def takes(model: Any, parameter: str) -> bool:
    """Whether a model's class has this parameter, or hands any on."""
    parameters = inspect.signature(type(model).__init__).parameters
    return parameter in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def create(name: str, options: dict[str, Any], **sizes: Any) -> Any:
    """timm's model without classifier and dropout, with random weights.

    Any: timm's models share attributes, but no typed base class.

    Raises:
        EncoderError: timm cannot build it so.
    """
    try:
        return _without_dropout(timm.create_model(name, num_classes=0, **sizes, **options))
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        unknown = re.search(r"unexpected keyword argument '(\w+)'", reason)
        if unknown and unknown[1] in options:
            raise EncoderError(f'{name} knows no option "{unknown[1]}"', fix=f"leave {unknown[1]} out") from error
        asked = ", ".join(f"{key}={value}" for key, value in {**sizes, **options}.items())
        raise EncoderError(
            f"timm cannot build {name}{f' with {asked}' if asked else ''}: {reason}",
            wanted="a model of timm, and options that fit it",
        ) from error


def publisher_filter(name: str) -> Convert | None:
    """timm's own conversion of a file's tensors for this model: names, patch weights, position tables.

    Each family's module has a `checkpoint_filter_fn`; timm calls it with the arguments given here
    (`_create_vision_transformer` in its vision_transformer.py, `_create_deit` in its deit.py). FlexiViT and
    RADIO were trained with bilinear resizing; which of RADIO's checkpoints align corners follows their
    publisher's code.
    """
    base = name.partition(".")[0]
    family = importlib.import_module(timm.model_entrypoint(base).__module__)
    convert: Any = getattr(family, "checkpoint_filter_fn", None)
    if convert is None:
        return None
    if family.__name__ == "timm.models.deit":
        return functools.partial(convert, adapt_layer_scale=True)
    if family.__name__ == "timm.models.vision_transformer":
        if "flexi" in base:
            return functools.partial(convert, interpolation="bilinear", antialias=False)
        if "radio" in base:
            aligned = "base_patch16_radio_v3" in base or "huge_patch16_radio_v3" in base
            return functools.partial(convert, interpolation="bilinear", antialias=False, align_corners=aligned)
    found: Convert = convert
    return found


def _without_dropout(model: Any) -> Any:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, DropPath):  # Swin has some by default
            module.drop_prob = 0.0
    return model


def _stages(model: Any) -> list[dict[str, Any]]:
    return list(getattr(model, "feature_info", []))
