"""A user's own encoder, from a file and from an installed module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from segrank.encoders.build import build_encoder
from segrank.encoders.reference import encoder_digests
from segrank.errors import EncoderError, WeightsError

SOURCE = """
import torch
from torch import nn

class Patches(nn.Module):
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    def __init__(self, patch_size, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_size, patch_size)
    def forward(self, images):
        return self.proj(images)

class Tokens(Patches):
    num_prefix_tokens = 1
    def forward(self, images):
        tokens = self.proj(images).flatten(2).transpose(1, 2)
        return torch.cat([tokens[:, :1] * 0 + 99, tokens], 1)

def build(crop, patch_size, width=8):
    return Patches(patch_size, width)

def tokens(crop, patch_size):
    return Tokens(patch_size, 8)

def half(crop, patch_size):
    return Patches(2 * patch_size, 8)

def bad_mean(crop, patch_size):
    model = Patches(patch_size, 8)
    model.mean, model.std = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)
    return model

def nothing(crop, patch_size):
    return None

def broken(crop, patch_size):
    raise KeyError("my own mistake")

constant = 3
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(SOURCE)
    return path


def build(reference: str, **options: str) -> tuple[torch.nn.Module, str]:
    encoder, report = build_encoder(reference, crop=(8, 12), patch_size=4, **options)  # type: ignore[arg-type]
    return encoder, report.source


def test_a_map_and_tokens_come_to_the_same_features(source: Path) -> None:
    maps, report = build(f"file:{source}:build")
    tokens, _ = build(f"file:{source}:tokens")
    pixels = torch.randint(0, 256, (2, 3, 8, 12), dtype=torch.uint8)
    features = maps(pixels)
    assert features.shape == (2, 8, 2, 3)
    assert report == "as built"
    assert torch.equal(tokens(pixels), features)  # the same seed, the same weights
    by_hand = maps.backbone.proj((pixels.float() / 255 - 0.5) / 0.25)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(features, by_hand)


def test_the_template_is_an_encoder() -> None:
    template = Path(__file__).parents[2] / "examples" / "my_encoder.py"
    encoder, _ = build_encoder(f"file:{template}:build?width=64", crop=(64, 96), patch_size=16)
    assert encoder.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    features = encoder(torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8))
    assert features.shape == (2, 64, 4, 6)
    features.square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_options_go_to_the_function(source: Path) -> None:
    encoder, _ = build(f"file:{source}:build?width=5")
    assert encoder.dim == 5


def test_weights_of_a_file_must_fit_whole(source: Path, tmp_path: Path) -> None:
    encoder, _ = build(f"file:{source}:build")
    torch.save({"model": {f"encoder.{k}": v + 1 for k, v in encoder.state_dict().items()}}, tmp_path / "w.pt")
    loaded, report = build(f"file:{source}:build", weights=str(tmp_path / "w.pt"))
    assert report == "w.pt"
    before, after = encoder.state_dict(), loaded.state_dict()
    assert all(torch.equal(after[key], before[key] + 1) for key in before)
    with pytest.raises(WeightsError, match="0 of 2 names fit"):
        build(f"file:{source}:build?width=9", weights=str(tmp_path / "w.pt"))


def test_a_module_by_name(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = source.parent / "their_package"
    package.mkdir()
    (package / "__init__.py").write_text("imported = True\n")
    (package / "nets.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(source.parent))
    by_name = encoder_digests("python:their_package.nets:build", "random")["encoder"]
    assert "their_package" not in sys.modules  # a digest runs nobody's code
    assert by_name == encoder_digests(f"file:{source}:build", "random")["encoder"].replace("file:", "python:")
    encoder, _ = build("python:their_package.nets:build")
    assert encoder.dim == 8


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("absent", "no function absent"),
        ("constant", "no function constant"),
        ("nothing", "returns a NoneType"),
        ("broken", r"model\.py failed: KeyError: 'my own mistake' \(line \d+ of .*model\.py\)"),
        ("half", r"features of shape \(1, 8, 1, 1\)"),
        ("bad_mean", "images in 0..1"),
        ("build?depth=3", "unexpected keyword argument 'depth'"),
    ],
)
def test_what_breaks_the_contract_is_named(source: Path, function: str, words: str) -> None:
    with pytest.raises(EncoderError, match=words):
        build(f"file:{source}:{function}")


def test_a_source_that_is_not_there_or_not_python(tmp_path: Path) -> None:
    for reference in (f"file:{tmp_path}/none.py:build", "python:no_such_package.nets:build"):
        with pytest.raises(EncoderError, match="there is no"):
            build(reference)
        with pytest.raises(EncoderError, match="there is no"):
            encoder_digests(reference, "random")
    (tmp_path / "bad.py").write_text("def build(:\n")
    with pytest.raises(EncoderError, match=r"bad\.py cannot be imported: SyntaxError"):
        build(f"file:{tmp_path}/bad.py:build")


def test_digests_follow_the_content_not_the_path(source: Path, tmp_path: Path) -> None:
    first = encoder_digests(f"file:{source}:build", "pretrained")
    copy = tmp_path / "copy.py"
    copy.write_text(SOURCE)
    assert encoder_digests(f"file:{copy}:build", "random") == first
    assert encoder_digests(f"file:{copy}:build?width=3", "random") != first
    copy.write_text(SOURCE + "\n")
    assert encoder_digests(f"file:{copy}:build", "random") != first
    assert encoder_digests("timm:vit_tiny_patch16_224", "random") == {}
    weights = encoder_digests("timm:vit_tiny_patch16_224", str(copy))
    assert weights["weights"].startswith("sha256:")
    with pytest.raises(WeightsError, match="there is no weights file"):
        encoder_digests("timm:vit_tiny_patch16_224", "none.pt")
    with pytest.raises(WeightsError, match="folder"):
        encoder_digests("timm:vit_tiny_patch16_224", str(tmp_path))
