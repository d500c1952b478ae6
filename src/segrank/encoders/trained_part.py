"""Training a part of a plain vision transformer: its last blocks, or low-rank adapters beside its linear layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm

from segrank.encoders.encoder import Encoder
from segrank.errors import EncoderError

_PLAIN = (
    timm.models.VisionTransformer,
    timm.models.Eva,
    timm.models.Beit,
    timm.models.VisionTransformerSAM,
)


def train_last_blocks(encoder: Encoder, count: int) -> None:
    """Freeze all but the last blocks and the final norm, where there is one.

    Raises:
        EncoderError: it is no plain vision transformer of timm, or has fewer blocks.
    """
    blocks = _blocks(encoder)
    if count > len(blocks):
        raise EncoderError(
            f"{encoder.name} has {len(blocks)} blocks, not {count}",
            wanted=f"trained_blocks from 1 to {len(blocks)}, or all",
        )
    encoder.requires_grad_(False)
    for module in (*blocks[-count:], getattr(encoder.backbone, "norm", None)):
        if module is not None:
            module.requires_grad_(True)


def add_adapters(encoder: Encoder, *, rank: int, alpha: float, seed: int) -> None:
    """Freeze the encoder, and put LoRA's adapters beside all linear layers of its blocks: attention and MLP.

    W x becomes W x + alpha / rank * B A x, with A (rank inputs) drawn as peft does and B (outputs rank) zero, so that
    at first nothing changes (Hu et al., arXiv 2106.09685).

    Args:
        encoder: is changed.
        rank, alpha: as above.
        seed: of A; the global random state is not touched.

    Raises:
        EncoderError: it is no plain vision transformer of timm, or peft is not installed.
    """
    peft, blocks = _peft(), set(_blocks(encoder))
    layers = []
    for path, block in encoder.backbone.named_modules():
        if block not in blocks:
            continue
        for name, module in block.named_modules():
            if isinstance(module, nn.Linear):
                layers.append(f"{path}.{name}")
            if getattr(module, "qkv_bias_separate", None) is False:
                module.qkv_bias_separate = True  # else timm takes the weights alone, past the adapter
    encoder.requires_grad_(False)
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=layers, lora_dropout=0.0, bias="none")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        peft.inject_adapter_in_model(config, encoder.backbone)


def _blocks(encoder: Encoder) -> list[nn.Module]:
    model: Any = encoder.backbone
    if not isinstance(model, _PLAIN):
        raise EncoderError(
            f"a part of {encoder.name} cannot be trained: it is no plain vision transformer",
            wanted="a vit_, deit, beit, eva or samvit_ model of timm, or small:",
            fix="use freeze=true, or train the whole encoder",
        )
    return list(model.blocks)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise EncoderError(
            f"lora_rank needs peft, which cannot be imported: {error}", fix="pip install 'segrank[lora]'"
        ) from error
    return peft
