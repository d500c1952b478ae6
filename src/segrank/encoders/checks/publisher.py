"""What an encoder's publisher states of it: the yardstick that its wiring is held against.

timm's models carry their publisher's configuration, inside a user's own module as well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm

from segrank.cards import card_of
from segrank.encoders.checks.trace import is_norm
from segrank.encoders.encoder import Encoder
from segrank.encoders.small import SMALL
from segrank.encoders.timm_model import create
from segrank.encoders.vit import BEIT3
from segrank.spec import parse_reference


class NormStatement(NamedTuple):
    """Whether a final norm belongs on the features."""

    wanted: bool
    reason: str


class Publisher(NamedTuple):
    """Of one architecture of timm."""

    architecture: str
    options: dict[str, Any]
    """What the reference sets; empty for a user's own encoder, of which they are not known."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: tuple[int, int] | None
    """Native height and width, pixels."""
    patch_size: int | None
    """Native, pixels; the stride of the last map of a hierarchical model is none."""
    own: bool
    """The architecture was recognised inside a user's own encoder."""


def publisher_of(reference: str, encoder: Encoder) -> Publisher | None:
    """None where nobody states anything."""
    scheme, name, options = parse_reference(SMALL.get(reference.removeprefix("small:"), reference))
    if scheme == "timm":
        config = timm.get_pretrained_cfg(name) or timm.get_pretrained_cfg(name.partition(".")[0])
        stated: dict[str, Any] = config.to_dict() if config else {}  # type: ignore[no-untyped-call]
    else:
        stated = next(filter(None, map(_config, encoder.modules())), {})
        name, options = str(stated.get("architecture", "")), {}
    if not timm.is_model(name.partition(".")[0]) or "mean" not in stated or "std" not in stated:
        return None
    size = stated.get("input_size")
    return Publisher(
        architecture=name.partition(".")[0],
        options=options,
        mean=tuple(stated["mean"]),
        std=tuple(stated["std"]),
        crop=(size[1], size[2]) if size else None,
        patch_size=_native_patch(name.partition(".")[0]),
        own=scheme != "timm",
    )


def stated_norm(reference: str, encoder: Encoder, publisher: Publisher | None) -> NormStatement | None:
    """Whether the publisher's model ends in a norm over all tokens; None where nobody says so."""
    card = card_of(reference)
    if card is not None and card.plain:
        return NormStatement(card.final_norm, f"by its card, {card.name}")
    if publisher is None:
        return None
    base = publisher.architecture
    if base.startswith("samvit") and encoder.dim == getattr(encoder.backbone, "embed_dim", None):
        return NormStatement(False, "SAM has no final norm, and its neck is left out")
    if base.startswith(BEIT3):
        return NormStatement(True, "BEiT-3's own norm is over its tokens")
    model = _plain_model(base, publisher.options)
    strides = [stage["reduction"] for stage in getattr(model, "feature_info", [])]
    if len(set(strides)) > 1 and encoder.patch_size != strides[-1]:
        return NormStatement(False, "an earlier stage than the last has none")
    ends = _ends_in_norm(model)
    return None if ends is None else NormStatement(ends, f"as timm's {base} has it")


def _config(module: nn.Module) -> dict[str, Any]:
    config: Any = getattr(module, "pretrained_cfg", None)
    return config if isinstance(config, dict) and config.get("architecture") else {}


def _native_patch(base: str) -> int | None:
    model = _plain_model(base, {})
    size = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    strides = {stage["reduction"] for stage in getattr(model, "feature_info", [])}
    return int(size[0]) if isinstance(size, tuple | list) and len(strides) == 1 else None


def _plain_model(base: str, options: dict[str, Any]) -> Any:
    with torch.device("meta"):
        return create(base, options).eval()


def _ends_in_norm(model: Any) -> bool | None:
    """Whether the last module with parameters that `forward_features` calls is a norm; told by shapes alone."""
    called: list[nn.Module] = []
    leaves = [m for m in model.modules() if not any(True for _ in m.children()) and any(True for _ in m.parameters())]
    handles = [leaf.register_forward_hook(lambda module, *_: called.append(module)) for leaf in leaves]
    size = (model.pretrained_cfg or {}).get("input_size", (3, 224, 224))
    try:
        model.forward_features(torch.zeros(1, *size, device="meta"))
    except Exception:  # it does not run on the meta device, or at its configured size
        return None
    finally:
        for handle in handles:
            handle.remove()
    return bool(called) and is_norm(called[-1])
