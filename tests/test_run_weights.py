"""What a run says and keeps of its encoder's weights: the card, where they are missing, and a folder of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
from huggingface_hub import constants
from typer.testing import CliRunner

from segrank.cards import CARDS, untrained
from segrank.cli import app
from segrank.encoders.build import build_encoder
from segrank.errors import DataError, WeightsError
from segrank.record import Record, load
from segrank.runner import run
from segrank.spec import RunSpec
from segrank.store import Store

SPEC = RunSpec(
    encoder="timm:vit_small_patch16_224.dino", weights="random", dataset="scenes?size=32&train=2&val=1", crop=(32, 32),
    patch_size=16, steps=1, batch_size=1, freeze=True,
)  # fmt: skip


class Lines:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        pass


def test_the_card_is_in_the_record_and_a_record_without_one_is_read(tmp_path: Path) -> None:
    record = run(SPEC, store=tmp_path, keep_weights=False)
    card = untrained(CARDS["dino-small"])
    assert record.card == card.to_data()
    assert Store(tmp_path).record(record.key) == record
    shown = CliRunner().invoke(app, ["show", record.key, "--store", str(tmp_path)])
    assert "DINO, random weights small: MIM none, supervision none" in shown.output
    content = json.loads(record.to_json())
    # read as it was written, whatever the catalogue says by now
    content["card"] = {"family": "Forgotten", "field_of_a_newer_catalogue": [1, {"a": None}]}
    assert load(Record, json.dumps(content), "record").card == content["card"]
    del content["card"]
    assert load(Record, json.dumps(content), "record").card is None


def test_a_file_in_a_folder_by_name_is_the_same_run_as_the_file_itself(tmp_path: Path) -> None:
    encoder, _ = build_encoder("small:shallow", crop=(32, 32), patch_size=8, weights="random")
    state = {name.removeprefix("backbone."): value for name, value in encoder.state_dict().items()}
    folder, file = tmp_path / "weights", tmp_path / "elsewhere.safetensors"
    folder.mkdir()
    for path in (folder / "shallow.safetensors", file):
        safetensors.torch.save_file(state, path)
    spec = SPEC.replace(encoder="small:shallow", patch_size=8, weights=str(folder))
    record = run(spec, store=tmp_path / "store")
    assert record.identity["weights"].startswith("sha256:")
    assert record.provenance.weights.source == "shallow.safetensors"
    assert record.card is None
    assert run(spec.replace(weights=str(file)), store=tmp_path / "store").key == record.key
    assert run(spec.replace(weights="random"), store=tmp_path / "store").key != record.key


def test_missing_weights_are_told_before_the_data_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    lines = Lines()
    spec = SPEC.replace(dataset="nowhere.yaml", weights="pretrained")
    with pytest.raises(DataError, match="nowhere"):
        run(spec, store=tmp_path / "store", reporter=lines)
    [said] = lines.said
    assert "not on this machine" in said
    assert "segrank encoders fetch timm:vit_small_patch16_224.dino" in said
    with pytest.raises(WeightsError, match=r"has no weights of timm:vit_small_patch16_224\.dino"):
        run(spec.replace(weights=str(tmp_path)), store=tmp_path / "store", reporter=lines)
    assert not (tmp_path / "store").exists()
