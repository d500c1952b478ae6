"""A study whose encoders are pretrained first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from at_once import AtOnce
from light_run import Lines
from typer.testing import CliRunner

from segrank.cli import app
from segrank.errors import SpecError
from segrank.pretrain.spec import PretrainSpec
from segrank.store import Store
from segrank.stores.merge import merge_stores
from segrank.study.coordinator import Care
from segrank.study.manifest import read_manifest
from segrank.study.pretrainings import pretraining_units
from segrank.study.run_study import pretrain_all, run_study
from segrank.study.study import AFTER_PRETRAINING, Study, read_study
from segrank.study.unit import units_of

ARCHITECTURE = "timm:vit_tiny_patch16_224?embed_dim=32&depth=2&num_heads=2"
TEXT = f"""
name: two
pretrain:
  set: {{architecture: "{ARCHITECTURE}", dataset: "scenes?size=48&train=10", crop: 32, patch_size: 8, steps: 2}}
  objectives: [supervised, {{half: {{objective: pixel-mim, mask_ratio: 0.5}}}}]
  seeds: 2
set: {{dataset: "scenes?size=32&train=8&val=4", crop: 32, patch_size: 8, steps: 2, batch_size: 4}}
encoders: [{{name: floor, encoder: "{ARCHITECTURE}", weights: random}}]
settings: [base, freeze]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(TEXT)
    return path


def test_what_is_pretrained_stands_beside_the_other_encoders_and_is_waited_for(path: Path) -> None:
    study = read_study(path, {"pretrain.steps": 7, "steps": 3})
    assert [one.encoder for one in study.pretrainings] == ["supervised-0", "half-0", "supervised-1", "half-1"]
    assert {one.steps for one in study.pretrainings} == {7}
    assert {cell.spec.steps for cell in study.cells} == {3}
    base = [(cell.encoder, cell.waits_for) for cell in study.cells if cell.setting == "base"]
    assert base == [("floor", ""), *((one.encoder, AFTER_PRETRAINING) for one in study.pretrainings)]
    found = units_of(study, device="cpu")
    assert {unit.encoder for unit in found.units} == {"floor"}
    assert {one.reason for one in found.missing} == {AFTER_PRETRAINING}


def test_pretrainings_come_first_and_their_weights_are_what_is_tuned(path: Path, tmp_path: Path) -> None:
    engine = AtOnce()
    result = run_study(path, store=tmp_path / "store", device="cpu", executor=engine)
    assert result.ok
    assert engine.started[:4] == ["supervised-0", "half-0", "supervised-1", "half-1"]
    assert len(engine.started) == 4 + 5 * 2
    weights = {unit.encoder: unit.spec.weights for unit in result.units}
    assert weights.pop("floor") == "random"
    assert {encoder: Path(file).read_text() for encoder, file in weights.items()} == {one: one for one in weights}
    again = AtOnce()
    assert run_study(path, store=tmp_path / "store", device="cpu", executor=again).ok
    assert again.started == []
    found = read_manifest(Store(tmp_path / "store"), "two")
    assert [one.encoder for one in found.pretrainings] == engine.started[:4]
    assert {state.status for state in found.pretraining_states(Store(tmp_path / "store"))} == {"done"}
    told = CliRunner().invoke(app, ["status", "--store", str(tmp_path / "store")])
    assert told.stdout.count("4 pretrainings: 4 done") == 1
    assert told.stdout.count("10 runs: 10 done") == 1


def test_a_pretraining_that_fails_takes_its_own_runs_along_and_no_others(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Care, "pause_s", 0.0)
    result = run_study(
        path, store=tmp_path / "store", device="cpu", executor=AtOnce(failing="half"), board=Lines(), tries=1
    )
    assert not result.ok
    assert {unit.encoder for unit in result.units} == {"floor", "supervised-0", "supervised-1"}
    assert {(one.encoder, one.reason) for one in result.missing} == {
        ("half-0", AFTER_PRETRAINING),
        ("half-1", AFTER_PRETRAINING),
    }
    assert capsys.readouterr().out.count("it burst") == 2
    mended = run_study(path, store=tmp_path / "store", device="cpu", executor=AtOnce(), tries=1, retry=True)
    assert mended.ok


def test_two_names_for_one_pretraining_are_one(tmp_path: Path) -> None:
    spec = PretrainSpec(objective="contrastive", architecture=ARCHITECTURE, dataset="scenes?size=48&train=10")
    specs = [spec, spec.replace(name="other"), spec.replace(seed=1)]
    found = pretraining_units(specs, device="cpu")
    assert [unit.encoder for unit in found.units] == ["contrastive-0", "contrastive-1"]
    assert found.keys["other-0"] == found.keys["contrastive-0"] != found.keys["contrastive-1"]
    engine = AtOnce()
    result = pretrain_all(specs, store=tmp_path, device="cpu", executor=engine)
    assert result.ok
    assert engine.started == ["contrastive-0", "contrastive-1"]


def test_what_cannot_be_pretrained_is_said_at_once(path: Path, tmp_path: Path) -> None:
    there = path.read_text()
    path.write_text(there.replace("scenes?size=48&train=10", "voc2012"))
    study = read_study(path)
    assert isinstance(study, Study)
    result = run_study(study, store=tmp_path / "store", root=tmp_path, device="cpu", executor=AtOnce())
    assert {unit.encoder for unit in result.units} == {"floor"}
    assert all("cannot be pretrained here" in one.reason and "voc2012" in one.reason for one in result.missing)
    with pytest.raises(SpecError, match="supervised-0 cannot be pretrained"):
        pretrain_all(study.pretrainings, store=tmp_path / "store", root=tmp_path, device="cpu", executor=AtOnce())
    assert json.loads((tmp_path / "store/studies/two.json").read_text())["pretrainings"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("encoders: [{name: floor", "encoders: [{name: half-1"), 'the encoder "half-1" stands twice'),
        (("steps: 2}\n  objectives", "stepz: 2}\n  objectives"), "stepz"),
    ],
)
def test_what_a_study_cannot_pretrain_is_an_error(path: Path, change: tuple[str, str], said: str) -> None:
    path.write_text(TEXT.replace(*change))
    with pytest.raises(SpecError, match=said):
        read_study(path)


def test_a_study_without_pretrainings_takes_no_fields_of_them() -> None:
    with pytest.raises(SpecError, match="pretrains nothing"):
        read_study("miniature", {"pretrain.steps": 3})


def test_merged_stores_have_the_pretrainings_of_both_and_damaged_ones_stay_out(path: Path, tmp_path: Path) -> None:
    path.write_text(TEXT.replace("[supervised", "[none"))
    for number in (1, 2):
        pretrain_all(
            read_study(path).pretrainings, store=tmp_path / str(number), device="cpu", executor=AtOnce(),
            shard=(number, 2),
        )  # fmt: skip
    first = next((tmp_path / "2" / "pretraining").glob("*/weights.safetensors"))
    kept = first.read_bytes()
    first.write_bytes(b"other")
    merged = merge_stores([tmp_path / "1", tmp_path / "2"], tmp_path / "all")
    assert merged.pretrainings == 3
    assert first.parent.name in merged.left_out[0]
    first.write_bytes(kept)
    assert merge_stores([tmp_path / "1", tmp_path / "2"], tmp_path / "all").pretrainings == 1
    assert not list((tmp_path / "all" / "pretraining").glob(".incoming*"))
    engine = AtOnce()
    assert run_study(path, store=tmp_path / "all", device="cpu", executor=engine).ok
    assert len(engine.started) == 10  # no pretraining among them
