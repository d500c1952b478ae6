"""Hierarchical encoders against timm's own stages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from against_timm import images, save
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401

# isort: split
import timm

from segrank.encoders.build import build_encoder
from segrank.encoders.hierarchical import resize_hiera_positions
from segrank.errors import EncoderError, WeightsError

OPTIONS = {  # name -> options that cut it down, and its native side
    "convnext_tiny.fb_in22k": ("depths=[1,1,1,1]&dims=[8,16,24,32]", 224),
    "convnext_tiny.dinov3_lvd1689m": ("depths=[1,1,1,1]&dims=[8,16,24,32]", 224),
    "convnextv2_base.fcmae": ("depths=[1,1,1,1]&dims=[8,16,24,32]", 224),
    "swin_tiny_patch4_window7_224.ms_in22k": ("depths=[1,1,2,2]&embed_dim=12", 224),
    "swinv2_tiny_window8_256.ms_in1k": ("depths=[1,1,2,2]&embed_dim=12", 256),
    "hiera_tiny_224.mae": ("stages=[1,1,2,1]&embed_dim=16", 224),
    "sam2_hiera_tiny.fb_r896": ("stages=[1,1,2,1]&embed_dim=16&global_att_blocks=[3]", 448),
}


def native(name: str) -> nn.Module:
    torch.manual_seed(1)
    options = {key: eval(value) for key, value in (pair.split("=") for pair in OPTIONS[name][0].split("&"))}
    model: nn.Module = timm.create_model(name, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def normalised(model: nn.Module, pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(model.pretrained_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))  # type: ignore[index]
    return (pixels.float() / 255 - mean) / std


def last_features(model: nn.Module, pixels: Tensor, side: int) -> Tensor:
    """timm's `forward_features`, in whichever layout it has, as b dim h w."""
    with torch.no_grad():
        features: Tensor = model.forward_features(normalised(model, pixels))  # type: ignore[operator]
    if features.ndim == 3:  # b (h w) dim
        features = features.reshape(len(features), side, side, -1)
    return features if features.shape[2:] == (side, side) else features.permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_last_stage_equals_timms_forward_features(name: str, tmp_path: Path) -> None:
    model, (options, side) = native(name), OPTIONS[name]
    file = save(model, tmp_path / "w.safetensors")
    encoder, report = build_encoder(f"timm:{name}?{options}", crop=(side, side), patch_size=32, weights=str(file))
    pixels = images(side, side)
    with torch.no_grad():
        torch.testing.assert_close(encoder.eval()(pixels), last_features(model, pixels, side // 32))
    assert report.resampled == ()
    assert {key.partition(".")[0] for key in report.unexpected} <= {"head"}
    assert any(isinstance(m, nn.LayerNorm) and m is getattr(model, "norm", None) for m in model.modules()) == (
        "swin" in name  # the one family whose final norm stands before the pooling
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_the_stage_of_stride_16_equals_timms_own_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    model, (options, side) = native(name), OPTIONS[name]
    file = save(model, tmp_path / "w.safetensors")
    encoder, report = build_encoder(f"timm:{name}?{options}", crop=(side, side), patch_size=16, weights=str(file))
    pixels = images(side, side)
    with torch.no_grad():
        stages = model.forward_intermediates(normalised(model, pixels), intermediates_only=True)  # type: ignore[operator]
    features = encoder.eval()(pixels)
    torch.testing.assert_close(features, stages[2])
    features.square().sum().backward()
    assert [key for key, parameter in encoder.named_parameters() if parameter.grad is None] == []
    assert set(report.unexpected) == set(model.state_dict()) - {
        key.removeprefix("backbone.core.") for key in encoder.state_dict()
    }


@pytest.mark.parametrize("name", OPTIONS)
def test_other_crops_load_and_run_alike_in_training(name: str, tmp_path: Path) -> None:
    file = save(native(name), tmp_path / "w.safetensors")
    encoder, _ = build_encoder(f"timm:{name}?{OPTIONS[name][0]}", crop=(96, 160), patch_size=16, weights=str(file))
    pixels = images(96, 160, 2)
    with torch.no_grad():
        features = encoder(pixels)  # in training mode: Swin's stochastic depth would show
        assert features.shape[2:] == (6, 10)
        assert torch.equal(features, encoder.eval()(pixels))
        torch.testing.assert_close(features[1:], encoder(pixels[1:]))


def test_hieras_positions_keep_their_pattern_within_units() -> None:
    torch.manual_seed(0)
    unit = torch.randn(1, 8, 8, 5)
    table = (unit.tile(1, 7, 7, 1) + torch.arange(5.0)).flatten(1, 2)  # a pattern per unit, and a constant
    resized = resize_hiera_positions(table, (16, 24), (8, 8))
    torch.testing.assert_close(resized, (unit.tile(1, 2, 3, 1) + torch.arange(5.0)).flatten(1, 2))
    slope = torch.linspace(-1, 1, 7).repeat_interleave(8)[None, :, None, None].expand(1, 56, 56, 5).flatten(1, 2)
    coarse = resize_hiera_positions(slope, (112, 112), (8, 8)).reshape(112, 112, 5)
    assert (coarse[1:] >= coarse[:-1] - 0.02).all()  # what varies from unit to unit is interpolated as a whole
    assert resize_hiera_positions(table, (56, 56), (8, 8)) is table


def test_batch_norm_keeps_its_statistics() -> None:
    encoder, _ = build_encoder("timm:resnet18", crop=(64, 64), patch_size=16, weights="random")
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    pixels = images(64, 64, 2)
    together = encoder.train()(pixels)
    torch.testing.assert_close(encoder(pixels[:1]), together[:1])
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("name", "crop", "patch", "words"),
    [
        ("convnext_tiny", (64, 64), 8, "only an early stage of stride 8(.|\n)*patch_size=16 or 32"),
        ("swin_tiny_patch4_window7_224", (56, 56), 14, "no stage of stride 14"),
        ("hiera_tiny_224", (48, 48), 16, "multiples of 32"),
        ("nest_tiny_jx", (64, 96), 16, "square"),
        ("vgg11?output_stride=16", (64, 64), 16, "vgg11"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(name: str, crop: tuple[int, int], patch: int, words: str) -> None:
    with pytest.raises(EncoderError, match=words):
        build_encoder(f"timm:{name}", crop=crop, patch_size=patch, weights="random")


def test_weights_with_a_missing_or_a_foreign_block_are_refused(tmp_path: Path) -> None:
    name = "convnext_tiny.fb_in22k"
    state = native(name).state_dict()
    torch.save({k: v for k, v in state.items() if k != "stages.1.blocks.0.norm.weight"}, tmp_path / "less.pt")
    torch.save({**state, "stages.1.blocks.1.norm.weight": torch.ones(16)}, tmp_path / "more.pt")
    for file, words in (
        ("less.pt", r"missing: stages\.1\.blocks\.0\.norm\.weight"),
        ("more.pt", r"without a place in the model: stages\.1\.blocks\.1"),
    ):
        with pytest.raises(WeightsError, match=words):
            build_encoder(f"timm:{name}?{OPTIONS[name][0]}", crop=(64, 64), patch_size=16, weights=str(tmp_path / file))
