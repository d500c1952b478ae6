"""A folder of weights that go by the names of their encoders."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from against_timm import query, save, timm_model

from segrank.cards import CARDS, untrained
from segrank.encoders.build import build_encoder
from segrank.encoders.reference import card_of_weights, encoder_digests, weights_file, weights_names
from segrank.errors import WeightsError

MAE = "timm:vit_base_patch16_224.mae"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize(
    ("encoder", "name"),
    [
        (MAE, "vit_base_patch16_224.mae.safetensors"),
        (MAE, "mae-base.pth"),
        (f"{MAE}?depth=6", "vit_base_patch16_224.mae.pt"),
        ("timm:vit_base_patch14_dinov2", "vit_base_patch14_dinov2.safetensors"),
        ("timm:vit_base_patch14_dinov2", "vit_base_patch14_dinov2.lvd142m.bin"),
        ("timm:vit_huge_patch14_gap_224.in1k_ijepa", "ijepa-in1k-huge.pth.tar"),
        ("small:plain", "plain.safetensors"),
        ("hf:facebook/dinov2-base?revision=abc", "dinov2-base.safetensors"),
        ("file:nets/my_encoder.py:build", "my_encoder.pt"),
        ("python:my_package.nets:build", "nets.pt"),
    ],
)
def test_each_encoder_finds_its_own(encoder: str, name: str, tmp_path: Path) -> None:
    touch(tmp_path, "other.safetensors", "README.md", name)
    assert weights_file(str(tmp_path), encoder) == tmp_path / name


def test_safetensors_come_first_then_the_name_in_the_reference(tmp_path: Path) -> None:
    order = ["vit_base_patch16_224.mae.safetensors", "mae-base.safetensors", "vit_base_patch16_224.mae.pt"]
    touch(tmp_path, *order)
    for name in order:
        assert weights_file(str(tmp_path), MAE).name == name
        (tmp_path / name).unlink()


def test_what_was_looked_for_and_what_comes_near_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "vit_base_patch16_224_mae.safetensors", "swin.pt")
    with pytest.raises(WeightsError) as raised:
        weights_file(str(tmp_path), MAE)
    assert f"{tmp_path} has no weights of {MAE} among its 2 weights files" in raised.value.found
    assert "vit_base_patch16_224.mae.safetensors or mae-base.safetensors (or .pt, .pth" in raised.value.wanted
    assert "rename vit_base_patch16_224_mae.safetensors" in raised.value.fix
    with pytest.raises(WeightsError, match="put it there"):
        weights_file(str(tmp_path), "small:rope")
    with pytest.raises(WeightsError, match="are a folder"):
        weights_file(str(tmp_path))


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    touch(tmp_path, "outside.safetensors")
    (tmp_path / "in").mkdir()
    for encoder in ("hf:../outside", "hf:../../outside", "hf:..", "file:../outside.py:build"):
        assert not any("/" in name for name in weights_names(encoder))
        with pytest.raises(WeightsError, match="has no weights of"):
            weights_file(str(tmp_path / "in"), encoder)


def test_the_digest_is_the_files_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    touch(tmp_path / "a", "mae-base.pt")
    wanted = {"weights": f"sha256:{hashlib.sha256(b'mae-base.pt').hexdigest()}"}
    assert encoder_digests(MAE, str(tmp_path / "a")) == encoder_digests(MAE, str(tmp_path / "a" / "mae-base.pt"))
    assert encoder_digests(MAE, str(tmp_path / "a")) == wanted
    assert encoder_digests(MAE, "pretrained") == {}


def test_weights_are_loaded_from_the_folder(tmp_path: Path) -> None:
    native = timm_model("vit_base_patch16_224.mae")
    file = save(native, tmp_path / "mae-base.safetensors")
    encoder, report = build_encoder(
        query("vit_base_patch16_224.mae"), crop=(32, 32), patch_size=16, weights=str(tmp_path)
    )
    assert (report.source, report.sha256) == (file.name, hashlib.sha256(file.read_bytes()).hexdigest())
    assert torch.equal(encoder.backbone.state_dict()["cls_token"], native.state_dict()["cls_token"])
    safetensors.torch.save_file({"x": torch.ones(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(WeightsError, match=r"plain\.safetensors is not weights of"):
        build_encoder("small:plain", crop=(32, 32), patch_size=16, weights=str(tmp_path))


def test_a_file_has_the_card_whose_name_it_bears(tmp_path: Path) -> None:
    card = CARDS["dinov2-base"]
    bare = "timm:vit_base_patch14_dinov2"
    touch(tmp_path, "dinov2-base.pt")
    assert card_of_weights(card.reference, str(tmp_path)) is card
    assert card_of_weights(bare, str(tmp_path / "dinov2-base.pt")) is card
    (tmp_path / "dinov2-base.pt").rename(tmp_path / "vit_base_patch14_dinov2.pt")
    assert card_of_weights(bare, str(tmp_path)) is None  # the architecture's name says nothing of the training
    assert card_of_weights(card.reference, "pretrained") is card
    assert card_of_weights(card.reference, "random") == untrained(card)
