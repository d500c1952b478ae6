"""Memory and disk by formula, against what torch keeps and writes."""

from __future__ import annotations

import io
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from segrank.assemble import build_segmenter
from segrank.spec import RunSpec
from segrank.study.flops import work_of
from segrank.study.footprint import disk_gib, kept_bytes, memory_gib
from segrank.study.network import transformer_of
from segrank.train.optim import adamw
from segrank.train.segmenter import Segmenter

SMALL = "timm:vit_small_patch14_dinov2"


def kept_by_torch(segmenter: Segmenter, spec: RunSpec) -> int:
    """Bytes of all that autograd saves for one image, but for parameters and their copies in half precision."""
    own = {p.untyped_storage().data_ptr() for p in segmenter.parameters()}
    shapes = {shape for p in segmenter.parameters() if p.ndim == 2 for shape in (p.shape, p.T.shape)}
    seen: dict[int, tuple[int, Tensor]] = {}

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tensor.shape not in shapes:
            seen[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    images = torch.zeros(1, 3, *spec.crop, dtype=torch.uint8)
    labels = torch.arange(16, dtype=torch.uint8).repeat(spec.crop[0] * spec.crop[1] // 16).view(1, *spec.crop)
    with (
        torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=spec.precision == "bf16"),
    ):
        segmenter.train()(images, labels).sum()
    return sum(size for size, _ in seen.values())


@pytest.mark.parametrize(
    ("encoder", "changes"),
    [
        (SMALL, {}),
        (SMALL, {"precision": "bf16"}),
        (SMALL, {"trained_blocks": 4}),
        ("timm:samvit_base_patch16.sa1b", {}),
        ("small:plain", {"decoder": "mask2former"}),
        ("small:plain", {"decoder": "eomt"}),
    ],
)  # fmt: skip
def test_what_an_image_keeps_for_its_backward(encoder: str, changes: dict[str, Any]) -> None:
    spec = RunSpec(encoder=encoder, weights="random", dataset="scenes", **{"precision": "fp32", "crop": 256, **changes})
    segmenter, _ = build_segmenter(spec, 16)
    net = transformer_of(encoder)
    assert net is not None
    assert kept_bytes(spec, net) == pytest.approx(kept_by_torch(segmenter, spec), rel=0.2)


def test_parameters_optimiser_weights_and_checkpoints() -> None:
    spec = RunSpec(
        encoder="small:plain", weights="random", dataset="scenes", crop=(64, 64), patch_size=8, precision="fp32"
    )
    segmenter, _ = build_segmenter(spec, 16)
    optimizer = adamw(segmenter, lr=1e-4, encoder_lr_multiplier=1.0, weight_decay=0.0)
    segmenter.train()(
        torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.zeros(1, 64, 64, dtype=torch.uint8)
    ).sum().backward()
    optimizer.step()
    checkpoint = io.BytesIO()
    torch.save({"model": segmenter.state_dict(), "optimizer": optimizer.state_dict()}, checkpoint)
    weights = safetensors.torch.save(segmenter.state_dict())
    work, net = work_of(spec, 16), transformer_of(spec.encoder)
    assert work is not None
    assert net is not None
    running, done = disk_gib(work, steps=0, images=0)
    assert done * 2**30 == pytest.approx(len(weights), rel=0.02)
    assert running * 2**30 == pytest.approx(3 * checkpoint.tell(), rel=0.05)
    assert disk_gib(work, steps=10, images=10, keep_weights=False)[1] < 1e-4
    held = sum(p.numel() * 4 * 2 for p in segmenter.parameters())  # with gradients
    held += sum(value.nbytes for state in optimizer.state.values() for value in state.values())
    publication = 4 * len(weights) + held / 2
    expected = max(held + 4 * kept_bytes(spec, net), publication)
    assert memory_gib(spec, net, work, 4) * 2**30 == pytest.approx(expected, rel=0.02)
