"""Weights files: good ones, hostile ones, broken ones, and those of another model."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from segrank.encoders.build import build_encoder
from segrank.encoders.checkpoints import read_weights
from segrank.errors import WeightsError

VIT = "timm:vit_tiny_patch16_224?embed_dim=24&depth=2&num_heads=2"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    encoder, _ = build_encoder(VIT, crop=(32, 48), patch_size=16, weights="random", seed=9)
    return {key.removeprefix("backbone."): value for key, value in encoder.state_dict().items()}


def load(path: Path, reference: str = VIT) -> Any:
    return build_encoder(reference, crop=(32, 48), patch_size=16, weights=str(path))


class Payload:
    """Runs a shell command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.mark.parametrize("form", ["safetensors", "new", "legacy"])
@pytest.mark.parametrize("name", ["weights.safetensors.bak", "weights.pt", "weights.bin"])
def test_formats_are_told_by_content(form: str, name: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / name
    if form == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "new")
    tensors, sha256 = read_weights(path)
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[key], state[key]) for key in state)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3, "args": argparse.Namespace(lr=1)},
        lambda s: {"model": {f"module.{k}": v for k, v in s.items()}, "optimizer": {"lr": 1}},
        lambda s: {"student": {}, "teacher": {f"backbone.{k}": v for k, v in s.items()}},
        lambda s: {"model": {k: v * 0 for k, v in s.items()}, "model_ema": s},
        lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
        lambda s: {**{f"encoder.backbone.{k}": v for k, v in s.items()}, "decoder.weight": torch.ones(1)},
    ],
)
def test_wrappers_and_prefixes_come_off(wrap: Any, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(wrap(state), tmp_path / "w.pt")
    encoder, report = load(tmp_path / "w.pt")
    assert report.loaded == len(state)
    assert all(torch.equal(value, state[key]) for key, value in encoder.backbone.state_dict().items())


@pytest.mark.filterwarnings("ignore:Detected pickle protocol", "ignore:Environment variable TORCH_FORCE")
@pytest.mark.parametrize("form", ["new", "legacy", "renamed"])
@pytest.mark.parametrize("forced", [False, True])
def test_code_in_a_pickle_never_runs(
    form: str, forced: bool, tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, path = tmp_path / "mark", tmp_path / "w.pt"
    if form == "renamed":
        path.write_bytes(pickle.dumps(Payload(mark)))
    else:
        torch.save({**state, "x": Payload(mark)}, path, _use_new_zipfile_serialization=form == "new")
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(WeightsError, match=r"w\.pt holds code or objects(.|\n)*do this"):
        read_weights(path)
    assert not mark.exists()
    if forced and form != "renamed":  # the variable does what it says where weights_only is left out
        torch.load(path)
        assert mark.exists()


@pytest.mark.parametrize("form", ["safetensors", "new", "legacy"])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_truncated(form: str, share: float, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    if form == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "new")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WeightsError, match=r"w\.bin"):
        read_weights(path)


def header(entries: dict[str, Any], data: bytes = b"\0" * 64, length: int | None = None) -> bytes:
    text = json.dumps(entries).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(begin: int, end: int, shape: list[int]) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "content",
    [
        header({"a": entry(0, 64, [16])}, length=2**60),
        header({"a": entry(0, 64, [16])}, length=2**64 - 1),
        header({"a": entry(0, 128, [32])}),
        header({"a": entry(0, 64, [16]), "b": entry(32, 64, [8])}),
        header({"a": entry(0, 64, [2**40])}),
        header({"a": entry(64, 0, [16])}),
        b"<!DOCTYPE html><html>not found</html>",
    ],
    ids=["header 2^60", "header 2^64-1", "past the end", "overlapping", "huge shape", "backwards", "html"],
)
def test_damaged_safetensors(content: bytes, tmp_path: Path) -> None:
    for name in ("w.safetensors", "w.pt"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
            read_weights(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        [torch.ones(1)],
        {},
        {"a": 1},
        {"a": torch.ones(1), "b": "text"},
        {0: torch.ones(1)},
        torch.ones(3),
        "text",
    ],
)
def test_something_else_than_tensors_by_name(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"w\.pt holds"):
        read_weights(tmp_path / "w.pt")


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**6)
    with pytest.raises(WeightsError, match="compressed"):
        read_weights(tmp_path / "w.pt")


def test_a_pickle_called_safetensors_is_not_unpickled(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="damaged safetensors"):
        read_weights(tmp_path / "w.safetensors")


def test_missing_folder_unreadable_pointer(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no weights file"):
        read_weights(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="folder"):
        read_weights(tmp_path)
    (tmp_path / "lfs.safetensors.pt").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(WeightsError, match="git lfs pull"):
        read_weights(tmp_path / "lfs.safetensors.pt")


def changed(state: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    new = {key: value.clone() for key, value in state.items()}
    key = "blocks.1.mlp.fc1.weight"
    if how == "nan":
        new[key][0, 0] = float("nan")
    elif how == "inf in a resampled table":
        new["pos_embed"] = torch.full((1, 1 + 16, 24), float("inf"))
    elif how == "missing":
        del new[key]
    elif how == "renamed":
        new["blocks.1.mlp.fc1.wieght"] = new.pop(key)
    elif how == "shape":
        new[key] = new[key].T.contiguous()
    elif how == "integers":
        new[key] = new[key].to(torch.int32)
    elif how == "more blocks":
        new |= {k.replace("blocks.1.", "blocks.2."): v.clone() for k, v in new.items() if "blocks.1." in k}
    elif how == "layer scale":
        new["blocks.0.ls1.gamma"] = torch.ones(24)
    elif how == "no grid":
        new["pos_embed"] = torch.zeros(1, 12, 24)
    return new


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("nan", "NaN or infinite weights; not finite: blocks.1.mlp.fc1.weight"),
        ("inf in a resampled table", "NaN or infinite weights; not finite: pos_embed"),
        ("missing", "29 of 30 names fit; missing: blocks.1.mlp.fc1.weight"),
        (
            "renamed",
            "missing: blocks.1.mlp.fc1.weight; without a place in the model: blocks.1.mlp.fc1.wieght",
        ),
        ("shape", r"of another shape: blocks.1.mlp.fc1.weight \(24, 96\), not \(96, 24\)"),
        ("integers", "of another type: blocks.1.mlp.fc1.weight torch.int32"),
        ("more blocks", "30 of 30 names fit; without a place in the model: blocks.2.*and 9 more"),
        ("layer scale", "without a place in the model: blocks.0.ls1.gamma"),
        ("no grid", "is not weights of"),
    ],
)
def test_weights_that_do_not_fit_whole_are_refused(
    how: str, words: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    safetensors.torch.save_file(changed(state, how), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"w\.safetensors .*" + words):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "other",
    [
        "timm:vit_tiny_patch16_224?embed_dim=36&depth=2&num_heads=3",
        "timm:eva02_tiny_patch14_224?embed_dim=24&depth=2&num_heads=2",
        "timm:beit_base_patch16_224?embed_dim=24&depth=2&num_heads=2",
        "timm:deit3_small_patch16_224?embed_dim=24&depth=2&num_heads=2",
        "timm:vit_small_patch14_reg4_dinov2?embed_dim=24&depth=2&num_heads=2",
    ],
)
def test_weights_of_another_model_are_refused(other: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"w\.safetensors is not weights of"):
        load(tmp_path / "w.safetensors", other)


def test_sam_and_the_mae_that_it_starts_from_are_told_apart(tmp_path: Path) -> None:
    sizes = "embed_dim=24&depth=2&num_heads=2"
    names = {"sam": f"timm:samvit_base_patch16?{sizes}", "mae": f"timm:vit_base_patch16_224?{sizes}"}
    for name, reference in names.items():
        encoder, _ = build_encoder(reference, crop=(32, 48), patch_size=16, weights="random")
        safetensors.torch.save_file(encoder.backbone.state_dict(), tmp_path / f"{name}.safetensors")
    for name, other in (("sam", "mae"), ("mae", "sam")):
        with pytest.raises(WeightsError, match=rf"{other}\.safetensors is not weights of"):
            load(tmp_path / f"{other}.safetensors", names[name])


def test_a_head_is_listed_and_half_precision_is_taken(state: dict[str, Tensor], tmp_path: Path) -> None:
    half = {key: value.half() for key, value in state.items()}
    safetensors.torch.save_file({**half, "head.weight": torch.ones(10, 24)}, tmp_path / "w.safetensors")
    encoder, report = load(tmp_path / "w.safetensors")
    assert report.unexpected == ("head.weight",)
    assert report.source == "w.safetensors"
    assert {value.dtype for value in encoder.state_dict().values()} == {torch.float32}
