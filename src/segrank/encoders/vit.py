"""Plain vision transformers of timm, at any crop and patch size, without their heads."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from segrank.encoders.matching import Convert
from segrank.encoders.timm_model import create, publisher_filter

BEIT3 = "beit3_"


def create_vit(name: str, options: dict[str, Any], *, crop: tuple[int, int], patch_size: int) -> nn.Module:
    """A timm model with random weights, ready for `forward_features`.

    What stands behind the tokens (classifier, pooling, `fc_norm`) is taken out, so that every parameter left
    takes part in the features. The final norm is left as timm's `forward_features` has it: applied by models
    that normalise their tokens, absent where the norm follows the pooling (EVA-02) or the model ends without
    one (C-RADIO, PE-Spatial). BEiT-3 is the exception: its own norm is on the tokens, timm's default puts it
    behind the pooling, so it is built with `global_pool="token"`.

    Raises:
        EncoderError: timm cannot build it so.
    """
    if name.startswith(BEIT3):
        options = {**options, "global_pool": "token"}
    model: nn.Module = create(name, options, img_size=crop, patch_size=patch_size)
    model.prune_intermediate_layers(1, prune_norm=False, prune_head=True)  # type: ignore[operator]
    return model


def vit_filter(name: str) -> Convert | None:
    """timm's own conversion of a file's tensors, with BEiT-3's norm put in its place."""
    convert = publisher_filter(name)
    if convert is None or not name.startswith(BEIT3):
        return convert

    def beit3(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
        return _beit3_norm(convert(tensors, model))

    return beit3


def _beit3_norm(converted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The norm over BEiT-3's tokens is `layer_norm` in its pretrained files, `fc_norm` in fine-tuned ones."""
    named = [part for part in ("norm", "layer_norm", "fc_norm") if f"{part}.weight" in converted]
    source = named[0] if named else "norm"  # a file with neither lacks norm.weight, and is refused for that
    for kind in ("weight", "bias"):
        if f"{source}.{kind}" in converted:
            converted[f"norm.{kind}"] = converted.pop(f"{source}.{kind}")
    return converted
