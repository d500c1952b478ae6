"""FLOPs and parameters that follow from a card, against torch's own count of the network that a run builds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segrank.assemble import build_segmenter
from segrank.cards import CARDS
from segrank.spec import RunSpec
from segrank.study.flops import work_of
from segrank.train.cost import count_shapes

CLASSES = 19


@pytest.mark.parametrize(
    ("encoder", "changes"),
    [
        ("mae-base", {"crop": 512}),
        ("mae-base", {"crop": 256, "patch_size": 8, "freeze": True}),
        ("dinov2-small", {"crop": (240, 320), "decoder": "mask2former"}),
        ("small:plain", {"decoder": "mask2former", "freeze": True}),
        ("eva02-small", {"patch_size": 14, "crop": 224}),
        ("sam-base", {"crop": 512}),
        ("sam-base", {"crop": (256, 384), "freeze": True}),
        ("dinov2-small", {"trained_blocks": 3}),
        ("small:plain", {"decoder": "eomt"}),
        ("small:rope", {"decoder": "eomt", "freeze": True, "patch_size": 8}),
    ],
)  # fmt: skip
def test_a_card_tells_what_torch_counts(encoder: str, changes: dict[str, Any]) -> None:
    reference = CARDS[encoder].reference if encoder in CARDS else encoder
    spec = RunSpec(encoder=reference, weights="random", dataset="scenes", **{"crop": 256, **changes})
    with torch.device("meta" if spec.decoder != "eomt" else "cpu"):
        segmenter, _ = build_segmenter(spec, CLASSES)
    counted, work = count_shapes(segmenter, spec.crop), work_of(spec, CLASSES)
    assert work is not None
    assert work.forward_flops == pytest.approx(counted.forward_flops, rel=0.005)
    assert work.train_flops == pytest.approx(counted.train_flops, rel=0.005)
    for module, parameters in (
        (segmenter.encoder, work.encoder_parameters), (segmenter.decoder, work.decoder_parameters),
    ):  # fmt: skip
        assert parameters == pytest.approx(sum(p.numel() for p in module.parameters()), rel=0.02)
    trained = sum(p.numel() for p in segmenter.parameters() if p.requires_grad)
    assert work.trained_parameters == pytest.approx(trained, rel=0.02)


@pytest.mark.parametrize(
    "encoder", ["timm:vit_tiny_patch16_224", "timm:vit_base_patch16_224.mae?depth=6", CARDS["swin-base"].reference,
                "hf:owner/name", "file:model.py:build"],
)  # fmt: skip
def test_what_no_card_tells_is_none(encoder: str) -> None:
    assert work_of(RunSpec(encoder=encoder, dataset="scenes"), CLASSES) is None
