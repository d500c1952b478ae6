"""Encoders against timm's own forward, built here a second time and without segrank."""

from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from against_timm import SMALLER, by_hand, images, query, save, timm_model
from torch import Tensor, nn

from segrank import _torchvision  # noqa: F401

# isort: split
import huggingface_hub.constants
import timm

from segrank.encoders import hub
from segrank.encoders.build import build_encoder
from segrank.encoders.reference import card_of_weights, encoder_digests
from segrank.encoders.small import ARCHITECTURES, PRETRAINED, small_weights
from segrank.errors import EncoderError, WeightsError

NATIVE = {  # name: (crop, patch, prefix tokens, options that timm needs, final norm on the tokens)
    "vit_base_patch16_224.mae": (224, 16, 1, {}, True),
    "vit_small_patch14_dinov2.lvd142m": (518, 14, 1, {}, True),
    "vit_small_patch14_reg4_dinov2.lvd142m": (518, 14, 5, {}, True),
    "deit3_base_patch16_384.fb_in22k_ft_in1k": (384, 16, 1, {}, True),
    "vit_base_patch16_siglip_512.webli": (512, 16, 0, {}, True),
    "vit_base_patch16_clip_224.dfn2b": (224, 16, 1, {}, True),
    "vit_base_patch16_clip_quickgelu_224.openai": (224, 16, 1, {}, True),
    "eva02_base_patch14_224.mim_in22k": (224, 14, 1, {}, False),
    "eva02_base_patch16_clip_224.merged2b": (224, 16, 1, {}, True),
    "beit_base_patch16_224.in22k_ft_in22k": (224, 16, 1, {}, False),
    "beitv2_base_patch16_224.in1k_ft_in22k": (224, 16, 1, {}, False),
    "beit3_base_patch16_224.pt": (224, 16, 1, {"global_pool": "token"}, True),
    "vit_base_patch16_dinov3.lvd1689m": (256, 16, 5, {}, True),
    "vit_base_patch16_dinov3_qkvb.lvd1689m": (256, 16, 5, {}, True),
    "vit_base_patch16_siglip_256.v2_webli": (256, 16, 0, {}, True),
    "vit_pe_core_base_patch16_224.fb": (224, 16, 1, {}, True),
    "vit_pe_spatial_base_patch16_512.fb": (512, 16, 1, {}, False),
    "vit_base_patch14_reg1_tipsv2.webli": (448, 14, 2, {}, True),
    "vit_base_patch16_radio_v3.c_radio": (512, 16, 8, {}, False),
    "vit_so400m_patch16_radio_v4.c_radio": (512, 16, 10, {}, False),
    "aimv2_large_patch14_224.apple_pt": (224, 14, 0, {}, True),
    "vit_huge_patch14_gap_224.in1k_ijepa": (224, 14, 0, {}, True),
    "vit_small_patch8_224.dino": (224, 8, 1, {}, True),
    "vit_base_patch16_224.augreg_in21k": (224, 16, 1, {}, True),
}


@pytest.mark.parametrize("name", NATIVE)
def test_features_equal_timms_own_with_its_final_norm(name: str, tmp_path: Path) -> None:
    side, patch, prefix, needed, normed = NATIVE[name]
    model = timm_model(name, **needed)
    file = save(model, tmp_path / "w.safetensors")
    encoder, report = build_encoder(query(name), crop=(side, side), patch_size=patch, weights=str(file))
    pixels = images(side, side)
    with torch.no_grad():
        features = encoder.eval()(pixels)
    assert features.shape == (1, 48, side // patch, side // patch)
    assert encoder.dim == 48
    torch.testing.assert_close(features, by_hand(model, pixels, prefix, (side // patch, side // patch)))
    assert isinstance(model.norm, nn.Identity) != normed
    assert report.missing == ()
    assert report.resampled == ()
    assert report.loaded == len(encoder.state_dict())
    # what timm puts behind the tokens is listed, and nothing else
    assert {key.partition(".")[0] for key in report.unexpected} <= {"head", "fc_norm", "attn_pool"}


@pytest.mark.parametrize(
    "name",
    [
        "vit_small_patch14_dinov2.lvd142m",
        "eva02_base_patch14_224.mim_in22k",
        "deit3_base_patch16_384.fb_in1k",
        "flexivit_small.1200ep_in1k",
        "vit_base_patch16_radio_v3.c_radio",
        "vit_large_patch16_radio_v3.c_radio",
        "vit_base_patch16_dinov3.lvd1689m",
        "vit_pe_core_base_patch16_224.fb",
    ],
)
def test_weights_are_resampled_as_timm_does(name: str, tmp_path: Path) -> None:
    native = timm_model(name)
    file = save(native, tmp_path / "w.safetensors")
    crop, patch = (96, 160), 8
    encoder, report = build_encoder(query(name), crop=crop, patch_size=patch, weights=str(file))
    tables = {"patch_embed.proj.weight", "pos_embed"} & set(native.state_dict())  # rotary positions have none
    assert set(report.resampled) == tables
    theirs = timm.create_model(
        name, True, pretrained_cfg_overlay={"file": str(file)}, img_size=crop, patch_size=patch, **SMALLER,
        num_classes=native.num_classes,
    )  # fmt: skip
    pixels = images(*crop)
    with torch.no_grad():
        prefix = int(theirs.num_prefix_tokens)  # type: ignore[arg-type]
        torch.testing.assert_close(encoder.eval()(pixels), by_hand(theirs.eval(), pixels, prefix, (12, 20)))


@pytest.mark.parametrize("name", [name for name in NATIVE if "radio" not in name])  # set_input_size is bicubic always
def test_loading_then_resizing_equals_resizing_then_loading(name: str, tmp_path: Path) -> None:
    native = timm_model(name, **NATIVE[name][3])
    file = save(native, tmp_path / "w.safetensors")
    crop, patch = (64, 96), 8
    encoder, _ = build_encoder(query(name), crop=crop, patch_size=patch, weights=str(file))
    native.set_input_size(img_size=crop, patch_size=patch)  # type: ignore[operator]
    pixels = images(*crop)
    with torch.no_grad():
        torch.testing.assert_close(encoder.eval()(pixels), by_hand(native, pixels, NATIVE[name][2], (8, 12)))


@pytest.mark.parametrize(("crop", "patch"), [((512, 512), 16), ((512, 512), 8), ((512, 1024), 16)])
@pytest.mark.parametrize(
    "name",
    [
        "vit_small_patch14_dinov2.lvd142m",
        "deit3_base_patch16_384.fb_in22k_ft_in1k",
        "eva02_base_patch14_224.mim_in22k",
        "beit3_base_patch16_224.pt",
    ],
)
def test_at_the_papers_crops_and_patches_they_load_and_train(
    name: str, crop: tuple[int, int], patch: int, tmp_path: Path
) -> None:
    """A few cells of docs/encoder-table.md."""
    native = timm_model(name)
    file = save(native, tmp_path / "w.safetensors")
    encoder, report = build_encoder(query(name), crop=crop, patch_size=patch, weights=str(file))
    assert report.loaded + len(report.unexpected) == len(native.state_dict())
    features = encoder(images(*crop))
    assert features.shape == (1, 48, crop[0] // patch, crop[1] // patch)
    features.square().mean().backward()
    for key, parameter in encoder.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


def test_radio_loads_from_its_publishers_own_layout(tmp_path: Path) -> None:
    """One token for each of three teachers and four more, positions for 128x128 patches, patches as a linear layer."""
    name, crop = "vit_base_patch16_radio_v3.c_radio", (64, 96)
    own = timm_model(name).state_dict()
    torch.manual_seed(2)
    table = torch.randn(1, 128 * 128, 48)
    blocks = {f"radio_model.model.{key}": value for key, value in own.items() if key.startswith("blocks.")}
    safetensors.torch.save_file(
        {
            "radio_model.input_conditioner.norm_mean": torch.zeros(3),
            "radio_model.model.patch_generator.embedder.weight": own["patch_embed.proj.weight"].flatten(1),
            "radio_model.model.patch_generator.pos_embed": table,
            "radio_model.model.patch_generator.cls_token.token": torch.cat([own["cls_token"], own["reg_token"]], 1)[0],
            **blocks,
        },
        tmp_path / "w.safetensors",
    )
    encoder, _ = build_encoder(query(name), crop=crop, patch_size=16, weights=str(tmp_path / "w.safetensors"))
    loaded = encoder.backbone.state_dict()
    assert torch.equal(loaded["reg_token"], own["reg_token"])
    assert torch.equal(loaded["patch_embed.proj.weight"], own["patch_embed.proj.weight"])
    # resized to a square as wide as the longer side, corners on corners (C-RADIOv3-B's own code), cut to the grid
    square = table.reshape(1, 128, 128, 48).permute(0, 3, 1, 2)
    square = torch.nn.functional.interpolate(square, size=(6, 6), mode="bilinear", align_corners=True)
    torch.testing.assert_close(loaded["pos_embed"], square[:, :, :4].flatten(2).transpose(1, 2))


def test_an_equal_number_of_patches_in_another_grid_is_resampled(tmp_path: Path) -> None:
    name = "vit_base_patch16_224.mae"  # 14x14 = 7x28
    file = save(timm_model(name), tmp_path / "w.safetensors")
    _, report = build_encoder(query(name), crop=(112, 448), patch_size=16, weights=str(file))
    assert report.resampled == ("pos_embed",)


def test_beit3_takes_its_norm_from_layer_norm_or_fc_norm_and_needs_one(tmp_path: Path) -> None:
    name = "beit3_base_patch16_224.pt"
    token = timm_model(name, global_pool="token")
    pixels = images(224, 224)
    wanted = by_hand(token, pixels, 1, (14, 14))
    for norm in ("norm", "layer_norm", "fc_norm"):
        state = {
            key.replace("norm.", f"{norm}.") if key.startswith("norm.") else key: value
            for key, value in token.state_dict().items()
        }
        safetensors.torch.save_file(state, tmp_path / "w.safetensors")
        encoder, _ = build_encoder(query(name), crop=(224, 224), patch_size=16, weights=str(tmp_path / "w.safetensors"))
        with torch.no_grad():
            torch.testing.assert_close(encoder.eval()(pixels), wanted)
    state = {key: value for key, value in token.state_dict().items() if not key.startswith("norm.")}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"w\.safetensors.*missing: norm\.weight, norm\.bias"):
        build_encoder(query(name), crop=(224, 224), patch_size=16, weights=str(tmp_path / "w.safetensors"))


@pytest.mark.shared
def test_real_weights_load_whole_at_another_crop_and_patch(shared: Path) -> None:
    file = shared / "weights" / "vit_small_patch14_dinov2_type.fp16.safetensors"
    name, crop = "vit_small_patch14_dinov2", (352, 480)
    encoder, report = build_encoder(f"timm:{name}", crop=crop, patch_size=16, weights=str(file))
    assert (report.loaded, report.missing, report.unexpected) == (174, (), ())
    assert set(report.resampled) == {"patch_embed.proj.weight", "pos_embed"}
    assert sum(p.numel() for p in encoder.parameters()) < 22_056_192  # a grid of 22x30 after 37x37
    theirs = timm.create_model(
        name, True, pretrained_cfg_overlay={"file": str(file)}, img_size=crop, patch_size=16, num_classes=0
    )
    for key, value in theirs.state_dict().items():
        assert torch.equal(encoder.backbone.state_dict()[key], value), key


@pytest.mark.parametrize("reference", [query("vit_tiny_patch16_224"), *(f"small:{name}" for name in ARCHITECTURES)])
def test_a_pattern_in_one_patch_shows_in_that_cell(reference: str) -> None:
    encoder, _ = build_encoder(reference, crop=(32, 80), patch_size=16, weights="random")
    blank = torch.zeros(1, 3, 32, 80, dtype=torch.uint8)
    marked = blank.clone()
    marked[..., 16:32, 48:64] = images(16, 16)  # row 1 of 2, column 3 of 5
    with torch.no_grad():
        change = (encoder.eval()(marked) - encoder(blank)).norm(dim=1)[0]
    assert change.shape == (2, 5)
    assert change.argmax() == 1 * 5 + 3


def test_images_are_normalised_inside() -> None:
    seen: list[Tensor] = []
    name = query("vit_base_patch16_siglip_512.webli")
    for normalisation in ("own", "imagenet"):
        encoder, _ = build_encoder(name, crop=(16, 16), patch_size=16, weights="random", normalisation=normalisation)
        encoder.backbone.patch_embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
        encoder(torch.full((1, 3, 16, 16), 255, dtype=torch.uint8))
        assert not {"mean", "std"} & set(encoder.state_dict())
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor([1.0, 1.0, 1.0]))  # (1 - 0.5) / 0.5
    by_channel = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    torch.testing.assert_close(seen[1][0, :, 0, 0], torch.tensor(by_channel))


def test_every_parameter_takes_part_in_the_features_and_chance_none() -> None:
    for name in NATIVE:
        encoder, _ = build_encoder(query(name), crop=(32, 32), patch_size=16, weights="random")
        features = encoder.train()(images(32, 32))
        assert torch.equal(features, encoder.eval()(images(32, 32))), name
        features.square().sum().backward()
        assert [k for k, p in encoder.named_parameters() if p.grad is None] == [], name


def test_the_seed_decides_and_the_global_state_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, _ = build_encoder("small:plain", crop=(32, 32), patch_size=8, weights="random", seed=1)
    assert torch.equal(torch.rand(2), expected)
    again, _ = build_encoder("small:plain", crop=(32, 32), patch_size=8, weights="random", seed=1)
    other, _ = build_encoder("small:plain", crop=(32, 32), patch_size=8, weights="random", seed=2)
    weights = [
        dict(encoder.named_parameters())["backbone.patch_embed.proj.weight"] for encoder in (first, again, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_small_encoders(name: str) -> None:
    encoder, report = build_encoder(f"small:{name}", crop=(64, 96), patch_size=16, weights="random")
    assert encoder(images(64, 96, 2)).shape == (2, 128, 4, 6)
    assert 2e5 < sum(p.numel() for p in encoder.parameters()) < 1.5e6
    assert report.source == "random"
    assert not isinstance(encoder.backbone.norm, nn.Identity)


@pytest.mark.parametrize("name", PRETRAINED)
def test_small_encoders_that_come_with_their_weights(name: str) -> None:
    file = small_weights(f"small:{name}")
    assert file is not None
    assert file.stat().st_size < 4e6
    encoder, report = build_encoder(f"small:{name}", crop=(64, 64), patch_size=8)
    assert (report.missing, report.unexpected, report.resampled) == ((), (), ())
    theirs: Any = timm.create_model(
        "vit_tiny_patch16_224", img_size=64, patch_size=8, embed_dim=128, depth=6, num_heads=4, num_classes=0
    )
    theirs.load_state_dict({key: value.float() for key, value in safetensors.torch.load_file(file).items()})
    pixels = images(64, 64)
    mean, std = (torch.tensor(theirs.default_cfg[which]).view(3, 1, 1) for which in ("mean", "std"))
    with torch.no_grad():
        tokens = theirs.eval().forward_features((pixels / 255 - mean) / std)[:, 1:]
        features = encoder.eval()(pixels)
    torch.testing.assert_close(features, tokens.transpose(1, 2).reshape(features.shape), rtol=1e-4, atol=1e-4)
    card = card_of_weights(f"small:{name}", "pretrained")
    assert card is not None
    assert (card.name, card.pretraining_seed, card.licence) == (f"{name}-0", 0, "apache-2.0")
    assert card.images_seen_m == pytest.approx(0 if name == "none" else 0.032)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert encoder_digests(f"small:{name}", "pretrained") == {"weights": f"sha256:{digest}"}


def test_an_architecture_alone_has_no_pretrained_weights() -> None:
    with pytest.raises(EncoderError, match="no pretrained weights"):
        build_encoder("small:plain", crop=(64, 96), patch_size=16)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("timm:vit_tiny_patch16_225", "did you mean"),
        ("timm:vit_base_patch16_224.mea", "one of the tags"),
        ("timm:mixer_b16_224", "MlpMixer has no num_prefix_tokens"),
        ("timm:vit_base_r50_s16_384", "cannot build"),
        ("timm:naflexvit_base_patch16_gap", "use the vit_ model"),
        ("timm:samvit_base_patch16?patch_size=16", "crop and patch size decide"),
        ("timm:vit_tiny_patch16_224?dpeth=3", 'no option "dpeth"'),
        ("timm:vit_tiny_patch16_224?num_heads=5", "cannot build"),
        ("timm:vit_tiny_patch16_224?global_pool=avg", "final norm"),
        ("timm:vit_tiny_patch16_224?drop_path_rate=0.1", "without dropout"),
        ("timm:vit_tiny_patch16_224?img_size=224", "crop and patch size decide"),
        ("timm:vit_tiny_patch16_224?checkpoint_path=x.pt", "`weights` decide"),
        ("timm:vit_tiny_patch16_224?dynamic_img_size=true", "one size"),
        ("timm:" + "x" * 300, "no model"),
        ("small:plan", 'did you mean "plain"'),
        ("small:plain?depth=2", "without options"),
        ("hub:anything", "is no encoder"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(reference: str, words: str) -> None:
    with pytest.raises(EncoderError, match=words):
        build_encoder(reference, crop=(64, 64), patch_size=16, weights="random")


def test_sizes_are_refused_with_the_next_right_ones() -> None:
    with pytest.raises(EncoderError, match="use 496 or 512"):
        build_encoder("small:plain", crop=(512, 500), patch_size=16, weights="random")
    encoder, _ = build_encoder("small:plain", crop=(32, 32), patch_size=16, weights="random")
    with pytest.raises(EncoderError, match="use 32 or 48"):
        encoder(images(40, 32))
    with pytest.raises(EncoderError, match=r"crop=\(48, 32\)"):
        encoder(images(48, 32))
    with pytest.raises(EncoderError, match="uint8"):
        encoder(torch.rand(1, 3, 32, 32))


def test_missing_pretrained_weights_are_an_error_and_never_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "hf_hub_download", lambda *a, **k: pytest.fail("asked the hub"))
    monkeypatch.setattr(hub, "REACH_S", 0.3)
    name = query("vit_base_patch16_224.mae")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"timm/vit_base_patch16_224\.mae.*not in the cache.*HF_HUB_OFFLINE"):
        build_encoder(name, crop=(32, 32), patch_size=16)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with socket.socket() as silent:  # accepts and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        start = time.monotonic()
        with pytest.raises(WeightsError, match=r"cannot be reached(.|\n)*weights=random"):
            build_encoder(name, crop=(32, 32), patch_size=16)
    assert time.monotonic() - start < 5


def test_a_name_without_published_weights_says_which_have_some() -> None:
    with pytest.raises(EncoderError, match="no pretrained weights for beit3_giant_patch14_224"):
        build_encoder(query("beit3_giant_patch14_224"), crop=(28, 28), patch_size=14)
