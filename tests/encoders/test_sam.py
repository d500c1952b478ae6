"""SAM's image encoder against timm's own, which knows its native size, and resizes as it goes elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from against_timm import images, save
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401

# isort: split
import timm

from segrank.encoders.build import build_encoder
from segrank.encoders.sam_window import window_size

NAME = "samvit_base_patch16.sa1b"
SMALLER: dict[str, Any] = {"embed_dim": 32, "depth": 3, "num_heads": 2}  # the third block is a global one
QUERY = f"timm:{NAME}?" + "&".join(f"{key}={value}" for key, value in SMALLER.items())


def native(**options: int) -> nn.Module:
    """timm's own at 1024/16, neck and all, every table away from the zeros that it begins with."""
    torch.manual_seed(1)
    model: nn.Module = timm.create_model(NAME, **{**SMALLER, **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def last_block(model: nn.Module, pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(model.pretrained_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))  # type: ignore[index]
    with torch.no_grad():
        normalised = (pixels.float() / 255 - mean) / std
        [features] = model.forward_intermediates(normalised, indices=1, intermediates_only=True)  # type: ignore[operator]
    assert isinstance(features, Tensor)
    return features


def test_features_equal_timms_own_at_the_native_size_and_tables_stay(tmp_path: Path) -> None:
    model = native()
    file = save(model, tmp_path / "w.safetensors")
    encoder, report = build_encoder(QUERY, crop=(1024, 1024), patch_size=16, weights=str(file))
    pixels = images(1024, 1024)
    with torch.no_grad():
        features = encoder.eval()(pixels)
    assert features.shape == (1, 32, 64, 64)  # embed_dim, not the neck's 256
    torch.testing.assert_close(features, last_block(model, pixels))
    assert report.resampled == ()
    assert {key.partition(".")[0] for key in report.unexpected} == {"neck"}
    assert report.loaded == len(encoder.state_dict())
    assert encoder.backbone.state_dict().keys() == {k for k in model.state_dict() if not k.startswith("neck")}


@pytest.mark.parametrize(("size", "dim"), [("base", 768), ("large", 1024), ("huge", 1280)])
def test_sam_as_published_has_the_width_of_its_tokens(size: str, dim: int) -> None:
    with torch.device("meta"):
        encoder, _ = build_encoder(f"timm:samvit_{size}_patch16", crop=(512, 1024), patch_size=16, weights="random")
    assert encoder.dim == dim


@pytest.mark.parametrize(("crop", "window"), [((512, 512), 7), ((256, 512), 7), ((256, 256), 4)])
def test_loading_then_resizing_equals_resizing_then_loading(crop: tuple[int, int], window: int, tmp_path: Path) -> None:
    """timm's native model resizes its tables on every forward pass; only its windows must be told."""
    model = native()
    file = save(model, tmp_path / "w.safetensors")
    encoder, report = build_encoder(QUERY, crop=crop, patch_size=16, weights=str(file))
    for block in model.blocks:  # type: ignore[union-attr]
        block.window_size = window if block.window_size else 0
    pixels = images(*crop)
    with torch.no_grad():
        torch.testing.assert_close(encoder.eval()(pixels), last_block(model, pixels))
    assert set(report.resampled) == {"pos_embed", *(k for k in model.state_dict() if "rel_pos" in k)}


@pytest.mark.parametrize(
    ("crop", "patch", "window"),
    [((512, 512), 16, 7), ((512, 512), 8, 14), ((512, 1024), 16, 14), ((504, 1008), 14, 16), ((512, 512), 32, 4)],
)
def test_tables_have_twice_their_size_less_one_entries(crop: tuple[int, int], patch: int, window: int) -> None:
    with torch.device("meta"):
        encoder, _ = build_encoder(QUERY, crop=crop, patch_size=patch, weights="random")
    rows, columns = crop[0] // patch, crop[1] // patch
    shapes = {key: value.shape for key, value in encoder.backbone.state_dict().items()}
    assert shapes["pos_embed"] == (1, rows, columns, 32)
    for axis, side in (("h", rows), ("w", columns)):
        assert shapes[f"blocks.1.attn.rel_pos_{axis}"] == (2 * window - 1, 16)
        assert shapes[f"blocks.2.attn.rel_pos_{axis}"] == (2 * side - 1, 16)


def test_a_window_keeps_its_share_of_the_grid() -> None:
    sides = {8: 2, 16: 4, 32: 7, 37: 8, 64: 14, 73: 16, 128: 28}  # patches: 14/64 of it by hand, half rounded up
    assert {side: window_size(side) for side in sides} == sides
    assert window_size(1) == 1


def test_meta_ais_own_checkpoint_loads(tmp_path: Path) -> None:
    """Names of segment-anything's own `sam_vit_b_01ec64.pth`: the image encoder beside prompt encoder and decoder."""
    model = native()
    state = {f"image_encoder.{key.replace('mlp.fc', 'mlp.lin')}": value for key, value in model.state_dict().items()}
    state["mask_decoder.iou_token.weight"] = torch.ones(1, 256)
    torch.save(state, tmp_path / "sam_vit_b.pth")
    encoder, _ = build_encoder(QUERY, crop=(512, 512), patch_size=16, weights=str(tmp_path / "sam_vit_b.pth"))
    same, _ = build_encoder(QUERY, crop=(512, 512), patch_size=16, weights=str(save(model, tmp_path / "w.safetensors")))
    for key, value in same.state_dict().items():
        assert torch.equal(encoder.state_dict()[key], value), key


def test_patch_weights_and_half_precision_tables_are_resampled(tmp_path: Path) -> None:
    state = {key: value.half() for key, value in native().state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    encoder, report = build_encoder(QUERY, crop=(64, 96), patch_size=8, weights=str(tmp_path / "w.safetensors"))
    assert "patch_embed.proj.weight" in report.resampled
    features = encoder(images(64, 96))
    assert features.shape == (1, 32, 8, 12)
    features.square().sum().backward()
    assert [key for key, parameter in encoder.named_parameters() if parameter.grad is None] == []
