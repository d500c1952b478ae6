"""`hf:` encoders against transformers' own forward pass, on tiny models that are made here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from against_timm import images
from torch import Tensor

from segrank import _torchvision  # noqa: F401

# isort: split
import transformers

from segrank.encoders.build import build_encoder
from segrank.encoders.reference import encoder_digests
from segrank.errors import EncoderError, WeightsError

SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
VIT: dict[str, Any] = {**SMALL, "image_size": 64, "patch_size": 16}
CONFIGS: dict[str, tuple[Callable[[], Any], int]] = {  # and how many tokens stand before the patches
    "vit": (lambda: transformers.ViTConfig(**VIT, hidden_dropout_prob=0.3), 1),
    "dinov2": (lambda: transformers.Dinov2Config(**{**VIT, "mlp_ratio": 2}), 1),
    "registers": (lambda: transformers.Dinov2WithRegistersConfig(**VIT, num_register_tokens=4), 5),
    "dinov3": (lambda: transformers.DINOv3ViTConfig(**VIT, num_register_tokens=4), 5),
    "siglip": (lambda: transformers.SiglipVisionConfig(**VIT), 0),
    "clip": (lambda: transformers.CLIPVisionConfig(**VIT), 1),
    "deit": (lambda: transformers.DeiTConfig(**VIT), 2),
}
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def saved(config: Any, folder: Path, **save: Any) -> Any:
    """A model with random values, saved as publishers do."""
    torch.manual_seed(1)
    model = transformers.AutoModel.from_config(config).eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder, **save)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))
    return model


def build(folder: Path, crop: tuple[int, int] = (64, 64), **options: Any) -> Any:
    return build_encoder(f"hf:{folder}", **{"crop": crop, "patch_size": 16, **options})


def by_hand(model: Any, pixels: Tensor, prefix: int, **options: Any) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        tokens = model(pixel_values=(pixels.float() / 255 - mean) / std, **options).last_hidden_state
        if isinstance(model, transformers.CLIPVisionModel):
            tokens = model.post_layernorm(tokens)
    rows, columns = pixels.shape[2] // 16, pixels.shape[3] // 16
    return torch.stack([tokens[:, prefix + i] for i in range(rows * columns)], -1).reshape(
        len(pixels), -1, rows, columns
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_features_equal_transformers_own(name: str, tmp_path: Path) -> None:
    config, prefix = CONFIGS[name]
    model = saved(config(), tmp_path)
    encoder, report = build(tmp_path)
    pixels = images(64, 64, 2)
    features = encoder(pixels)  # in training mode: dropout would show
    torch.testing.assert_close(features, by_hand(model, pixels, prefix))
    assert report.missing == report.unexpected == ()
    assert report.loaded == len(encoder.state_dict())
    features.square().sum().backward()
    assert [key for key, parameter in encoder.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", ["vit", "siglip", "clip"])
def test_positions_are_interpolated_by_the_model_at_another_crop(name: str, tmp_path: Path) -> None:
    config, prefix = CONFIGS[name]
    model = saved(config(), tmp_path)
    encoder, _ = build(tmp_path, crop=(48, 128))
    pixels = images(48, 128)
    with torch.no_grad():
        features = encoder.eval()(pixels)
    torch.testing.assert_close(features, by_hand(model, pixels, prefix, interpolate_pos_encoding=True))


def test_clips_final_norm_is_on_its_tokens_as_in_timm(tmp_path: Path) -> None:
    """One set of weights, in OpenAI's model of transformers and in timm's."""
    import timm

    model = saved(transformers.CLIPVisionConfig(**VIT, hidden_act="quick_gelu", layer_norm_eps=1e-5), tmp_path)
    theirs: Any = timm.create_model(
        "vit_base_patch16_clip_quickgelu_224", num_classes=0,
        img_size=64, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2,
    ).eval()  # fmt: skip
    state = model.state_dict()
    renamed = {
        "cls_token": state["embeddings.class_embedding"].reshape(1, 1, -1),
        "pos_embed": state["embeddings.position_embedding.weight"][None],
        "patch_embed.proj.weight": state["embeddings.patch_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        renamed[f"norm_pre.{kind}"] = state[f"pre_layrnorm.{kind}"]
        renamed[f"norm.{kind}"] = state[f"post_layernorm.{kind}"]
        for layer in range(2):
            old, new = f"encoder.layers.{layer}", f"blocks.{layer}"
            qkv = [state[f"{old}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            renamed[f"{new}.attn.qkv.{kind}"] = torch.cat(qkv)
            renamed[f"{new}.attn.proj.{kind}"] = state[f"{old}.self_attn.out_proj.{kind}"]
            for part in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                renamed[f"{new}.{part}.{kind}"] = state[f"{old}.{part.replace('norm', 'layer_norm')}.{kind}"]
    theirs.load_state_dict(renamed)
    encoder, _ = build(tmp_path)
    pixels = images(64, 64)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        tokens = theirs.forward_features((pixels.float() / 255 - mean) / std)[:, 1:]
        torch.testing.assert_close(encoder.eval()(pixels), tokens.transpose(1, 2).reshape(1, 32, 4, 4))


def test_the_image_half_of_a_model_for_images_and_text(tmp_path: Path) -> None:
    text = {**SMALL, "vocab_size": 99, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    model = saved(transformers.CLIPConfig(vision_config=VIT, text_config=text), tmp_path)
    encoder, report = build(tmp_path)
    pixels = images(64, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder.eval()(pixels), by_hand(model.vision_model, pixels, 1))
    assert any(name.startswith("text_model.") for name in report.unexpected)


def test_shards_load_and_a_run_of_ours_loads_back(tmp_path: Path) -> None:
    model = saved(transformers.ViTConfig(**VIT), tmp_path / "shards", max_shard_size="20KB")
    assert not (tmp_path / "shards" / "model.safetensors").exists()
    encoder, report = build(tmp_path / "shards")
    own = model.state_dict()
    loaded = encoder.backbone.core.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in loaded.items())
    assert len(report.sha256) == 64
    state = {f"encoder.{key}": value + 1 for key, value in encoder.state_dict().items()}
    safetensors.torch.save_file({**state, "decoder.weight": torch.ones(3)}, tmp_path / "run.safetensors")
    again, report = build(tmp_path / "shards", weights=str(tmp_path / "run.safetensors"))
    assert report.source == "run.safetensors"
    assert all(torch.equal(value, loaded[key] + 1) for key, value in again.backbone.core.state_dict().items())


def test_random_weights_come_from_the_seed_in_float32(tmp_path: Path) -> None:
    transformers.ViTConfig(**VIT, dtype="float16").save_pretrained(tmp_path)
    weights = []
    for seed in (1, 1, 2):
        encoder, report = build(tmp_path, weights="random", normalisation="imagenet", seed=seed)
        weights.append(dict(encoder.named_parameters())["backbone.core.embeddings.cls_token"])
        assert report.source == "random"
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("nan", "NaN or infinite weights: embeddings.cls_token"),
        ("missing", "1 of 38 names are missing"),
        ("more layers", "1 have no place in the model"),
        ("shape", "is not weights of hf:"),
    ],
)
def test_weights_that_do_not_fit_whole_are_refused(how: str, words: str, tmp_path: Path) -> None:
    model = saved(transformers.ViTConfig(**VIT), tmp_path)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    key = next(key for key in state if key.endswith("1.layernorm_before.weight") or "1.norm1.weight" in key)
    if how == "nan":
        state["embeddings.cls_token"][:] = float("nan")
    elif how == "missing":
        del state[key]
    elif how == "more layers":
        state[key.replace("1.", "2.", 1)] = state[key].clone()
    else:
        state[key] = torch.ones(3)
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=words):
        build(tmp_path)


def test_code_and_pickles_in_a_folder_never_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch '{tmp_path / 'mark'}'",)

    model = saved(transformers.ViTConfig(**VIT), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({**model.state_dict(), "x": Payload()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"has no model\.safetensors(.|\n)*save_pretrained"):
        build(tmp_path)
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\nclass Mine: pass\n")
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=r"cannot read .*config\.json"):
        build(tmp_path)
    assert not (tmp_path / "mark").exists()


def test_an_index_of_shards_cannot_leave_its_folder(tmp_path: Path) -> None:
    saved(transformers.ViTConfig(**VIT), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../other.safetensors"}}))
    with pytest.raises(WeightsError, match="no index of shards"):
        build(tmp_path)


@pytest.mark.parametrize(
    ("config", "patch", "words"),
    [
        (lambda: transformers.ViTConfig(**VIT), 8, "use patch_size=16, the model's own"),
        (lambda: transformers.ViTMAEConfig(**VIT), 16, "shuffles its patches"),
        (lambda: transformers.YolosConfig(**{**VIT, "image_size": [64, 64]}), 16, "gives 117 tokens"),
        (lambda: transformers.BertConfig(**SMALL, vocab_size=9), 16, "no vision model: it takes input_ids"),
        (lambda: transformers.Aimv2VisionConfig(**{**VIT, "image_size": 32}), 16, "cannot interpolate its positions"),
    ],
)
def test_what_can_be_no_encoder_is_refused_in_words(
    config: Callable[[], Any], patch: int, words: str, tmp_path: Path
) -> None:
    config().save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match=words):
        build(tmp_path, patch_size=patch, weights="random")


@pytest.mark.parametrize(
    ("preprocessor", "words"),
    [
        ({"image_mean": [123.7, 116.3, 103.5], "image_std": [58, 57, 57], "rescale_factor": 1}, "images in 0..1"),
        ({"image_mean": [0.5]}, "three numbers each"),
        (None, "normalisation=imagenet"),
    ],
)
def test_normalisation_that_is_not_known_is_refused(
    preprocessor: dict[str, Any] | None, words: str, tmp_path: Path
) -> None:
    saved(transformers.ViTConfig(**VIT), tmp_path)
    if preprocessor is None:
        (tmp_path / "preprocessor_config.json").unlink()
    else:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    with pytest.raises(EncoderError, match=words):
        build(tmp_path)
    encoder, _ = build(tmp_path, normalisation="imagenet")
    assert encoder.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_without_transformers_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EncoderError, match=r"pip install 'segrank\[hf\]'"):
        build(tmp_path)


def test_digests_follow_the_content_not_the_path(tmp_path: Path) -> None:
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        saved(transformers.ViTConfig(**VIT), folder)
    first, second = (encoder_digests(f"hf:{folder}", "pretrained") for folder in folders)
    assert first == second
    assert first["encoder"].startswith("hf:sha256:")
    random = encoder_digests(f"hf:{folders[0]}", "random")
    (folders[0] / "model.safetensors").write_bytes(b"another")
    assert encoder_digests(f"hf:{folders[0]}", "pretrained") != first
    assert encoder_digests(f"hf:{folders[0]}", "random") == random
    assert encoder_digests("hf:owner/name", "pretrained") == {}
