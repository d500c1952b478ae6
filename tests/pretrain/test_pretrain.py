"""A pretraining from file to encoder: resumed bit for bit, found done, and taken by the other verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("lightly", reason="pretraining needs lightly")

import safetensors.torch

from segrank.cards.own import card_file
from segrank.cli import app
from segrank.encoders.build import build_encoder
from segrank.encoders.reference import card_of_weights
from segrank.errors import SpecError, WeightsError
from segrank.pretrain import session
from segrank.pretrain.network import build_network
from segrank.pretrain.optim import lr_share
from segrank.pretrain.runner import pretrain
from segrank.pretrain.spec import PretrainSpec, read_pretrainings
from segrank.train.optim import set_lr

FIELDS: dict[str, Any] = {
    "architecture": "timm:vit_tiny_patch16_224?embed_dim=32&depth=2&num_heads=2",
    "dataset": "scenes?size=48&train=10",
    "crop": 32,
    "patch_size": 8,
    "steps": 5,
    "batch_size": 4,
}


class KilledError(Exception):
    pass


@pytest.mark.parametrize("objective", ["abstract-mim", "self-distillation"])
def test_a_killed_pretraining_resumes_bit_for_bit(
    objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = PretrainSpec(objective=objective, **FIELDS)  # type: ignore[arg-type]
    whole = pretrain(spec, store=tmp_path / "whole", device="cpu")
    calls = 0

    def dies(optimizer: torch.optim.Optimizer, share: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:  # after three steps, each with a checkpoint
            raise KilledError
        set_lr(optimizer, share)

    monkeypatch.setattr(session, "set_lr", dies)
    with pytest.raises(KilledError):
        pretrain(spec, store=tmp_path / "killed", device="cpu", checkpoint_every_s=0)
    resumed = pretrain(spec, store=tmp_path / "killed", device="cpu", checkpoint_every_s=0)
    assert calls == 4 + 2  # two steps were left
    assert resumed.key == whole.key
    assert resumed.provenance.attempts == 2
    assert resumed.files == whole.files  # sha256 of weights and log
    assert [h.step for h in resumed.health] == [h.step for h in whole.health]
    assert resumed.health == whole.health


def test_what_is_done_is_found_and_its_encoder_is_one_like_any_other(tmp_path: Path) -> None:
    spec = PretrainSpec(name="pixels", objective="pixel-mim", **FIELDS)
    record = pretrain(spec, store=tmp_path, device="cpu")
    assert record.status == "ok"
    assert pretrain(spec, store=tmp_path, device="cpu") == record
    weights = tmp_path / "pretraining" / record.key / "weights.safetensors"
    encoder, report = build_encoder(spec.architecture, crop=(32, 32), patch_size=8, weights=str(weights))
    assert (report.missing, report.unexpected, report.resampled) == ((), (), ())
    saved = safetensors.torch.load_file(weights)
    assert all(torch.equal(value, saved[name]) for name, value in encoder.backbone.state_dict().items())
    card = card_of_weights(spec.architecture, str(weights))
    assert card is not None
    assert (card.name, card.family, card.mim, card.supervision) == ("pixels-0", "pixels", "pixels", ())
    assert card.images_seen_m == 20e-6
    card_file(weights).write_text('{"name": 3}')
    with pytest.raises(WeightsError, match="no card"):
        card_of_weights(spec.architecture, str(weights))


def test_none_is_what_all_objectives_begin_with(tmp_path: Path) -> None:
    record = pretrain(PretrainSpec(objective="none", **FIELDS), store=tmp_path, device="cpu")
    saved = safetensors.torch.load_file(tmp_path / "pretraining" / record.key / "weights.safetensors")
    begun = build_network(PretrainSpec(objective="contrastive", **FIELDS)).vit.state_dict()
    assert saved.keys() == begun.keys()
    assert all(torch.equal(value, begun[name]) for name, value in saved.items())
    card = record.card
    assert (card["objective"], card["images_seen_m"], card["data"], card["licence"]) == ("none", 0, [], "none")
    assert (card["family"], card["pretraining_seed"]) == ("none", 0)


def test_a_file_names_objectives_seeds_and_what_they_share(tmp_path: Path) -> None:
    path = tmp_path / "objectives.yaml"
    path.write_text("""
set: {dataset: scenes, steps: 7}
objectives: [contrastive, {half: {objective: pixel-mim, mask_ratio: 0.5}}]
seeds: 2
""")
    found = read_pretrainings(path, {"batch_size": 8})
    assert [(one.called, one.seed) for one in found] == [
        ("contrastive", 0), ("half", 0), ("contrastive", 1), ("half", 1),
    ]  # fmt: skip
    assert found[3].mask_ratio == 0.5
    assert {(one.steps, one.batch_size) for one in found} == {(7, 8)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("objectives: [contrastiv]\nset: {dataset: scenes}", "contrastiv"),
        ("objectives: [contrastive]\nset: {dataset: scenes, mask_ratio: 0.5}", "mask_ratio does nothing"),
        ("objectives: [contrastive]\nset: {dataset: scenes, crop: 100}", "use 96"),
        ("objectives: [contrastive, contrastive]\nset: {dataset: scenes}", "twice"),
        ("objectives: [contrastive]", "dataset"),
    ],
)
def test_what_cannot_be_done_is_told(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "objectives.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=said):
        read_pretrainings(path)


def test_the_learning_rate_rises_and_falls() -> None:
    shares = [lr_share(step, 100, 0.1) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9] == shares[10] == 1
    assert shares[55] == pytest.approx(0.5)  # the middle of the cosine
    assert shares[99] < 1e-3
    assert lr_share(0, 10, 0) == 1


def test_the_verb_says_how_a_study_names_its_encoders(tmp_path: Path) -> None:
    path = tmp_path / "objectives.yaml"
    fields = "".join(f"  {key}: {value!r}\n".replace("'", '"') for key, value in {**FIELDS, "steps": 1}.items())
    path.write_text(f"set:\n{fields}objectives: [contrastive, supervised]\n")
    arguments = ["pretrain", str(path), "--only", "contrastive", "--store", str(tmp_path / "s"), "--device", "cpu"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert '"name":"contrastive-0"' in done.output
    assert "supervised-0" not in done.output
    wrong = CliRunner().invoke(app, [*arguments[:2], "--only", "contrastif"])
    assert "contrastive" in str(wrong.exception)
