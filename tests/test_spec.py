"""RunSpec: checks, overrides, YAML, and the key that says "same experiment"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segrank.errors import SpecError
from segrank.files import parse_yaml
from segrank.spec import EVALUATION_FIELDS, RunSpec, identity, key_of, parse_overrides, parse_reference, read_spec

BASE = RunSpec(encoder="timm:vit_base_patch16_224.mae", dataset="ade20k.yaml")


def key(spec: RunSpec, **digests: str) -> str:
    return key_of(identity(spec, digests, "fp32"))


def test_defaults_are_the_papers_base_setting() -> None:
    # arXiv 2404.12172: AdamW at 1e-4, a tenth of it for the encoder, decay 0.05, poly 0.9, batch 16, 40k steps
    fields = BASE.model_dump(exclude={"encoder", "dataset"})
    assert fields["lr"] == 1e-4
    assert fields["lr"] * fields["encoder_lr_multiplier"] == pytest.approx(1e-5)
    assert (fields["weight_decay"], fields["poly_power"], fields["batch_size"], fields["steps"]) == (
        0.05,
        0.9,
        16,
        40_000,
    )
    assert (fields["crop"], fields["patch_size"], fields["decoder"], fields["freeze"], fields["seed"]) == (
        "512x512",
        16,
        "linear",
        False,
        0,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 3}, 'unknown key "step"; did you mean "steps"?'),
        ({"crop": 500}, "use 496 or 512"),
        ({"crop": "512x500"}, "crop 500 is not a multiple of patch 16"),
        ({"patch_size": 7, "crop": 5}, "use 7"),
        *[({"lr": value}, "lr") for value in (0, -1e-4, float("nan"), float("inf"), 1e9, "fast")],
        *[({"steps": value}, "steps") for value in (0, -1, 1.5, 10**12)],
        *[({"batch_size": value}, "batch_size") for value in (0, -16, 10**9)],
        ({"seed": -1}, "seed"),
        ({"decoder": "unet"}, "decoder"),
        ({"ignored_pixels": "negative"}, "does nothing with decoder=linear"),
        ({"ignored_pixels": "none", "decoder": "eomt"}, "ignored_pixels"),
        *[
            ({"decoder": "eomt", "encoder": encoder}, "timm:NAME of a plain vision transformer")
            for encoder in ("hf:facebook/dinov2-base", "file:model.py:build", "python:package.module:build")
        ],
        *[({"trained_blocks": value}, "a whole number of at least 1, or all") for value in (0, -1, True, "none", 1.5)],
        ({"images_per_class": "few"}, "images_per_class: a whole number"),
        *[({"train_fraction": value}, "train_fraction") for value in (0, 1.01, float("nan"))],
        ({"train_fraction": 0.1, "images_per_class": 1}, "both set"),
        ({"freeze": True, "trained_blocks": 4}, "freeze=true and trained_blocks=4 exclude each other"),
        ({"freeze": True, "lora_rank": 4}, "exclude each other"),
        ({"trained_blocks": 4, "lora_rank": 4}, "exclude each other"),
        ({"lora_rank": -1}, "lora_rank"),
        ({"lora_alpha": 32}, "lora_alpha=32 does nothing with lora_rank=0"),
        ({"lora_rank": 4, "encoder": "hf:facebook/dinov2-base"}, "lora_rank=4 cannot be done"),
        ({"trained_blocks": 4, "encoder": "file:model.py:build"}, "trained_blocks=4 cannot be done"),
        ({"precision": "fp8"}, "precision"),
        ({"encoder": "vit_base_patch16_224"}, 'did you mean "timm:vit_base_patch16_224"?'),
        ({"encoder": "timm:../../etc/passwd"}, "is no encoder"),
        ({"encoder": "timm:hub/model"}, "is no encoder"),
        ({"encoder": "timm:" + "x" * 300}, "is no encoder"),
        ({"encoder": "file:model.txt:build"}, "is no encoder"),
        ({"encoder": "timm:vit?depth=6&depth=7"}, "stands twice"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=None) as caught:
        BASE.replace(**change)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_hostile_values_are_not_echoed_whole() -> None:
    with pytest.raises(SpecError) as caught:
        BASE.replace(decoder="x" * 100_000)
    assert len(str(caught.value)) < 1500


def test_overrides_are_yaml_values() -> None:
    assignments = ["lr=1e-3", "steps=2_000", "freeze=true", "crop=352x480", "weights=random"]
    spec = BASE.replace(**parse_overrides(assignments))
    assert (spec.lr, spec.steps, spec.freeze, spec.crop, spec.weights) == (
        1e-3,
        2000,
        True,
        (352, 480),
        "random",
    )
    with pytest.raises(SpecError, match="is no override"):
        parse_overrides(["steps"])


def test_yaml_round_trip_and_paths_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "camvid.yaml").write_text("x: 1")
    (tmp_path / "spec.yaml").write_text(
        "encoder: timm:vit_tiny_patch16_224\ndataset: camvid.yaml\nlr: 1e-4\nsteps: 10\n"
    )
    spec = read_spec(tmp_path / "spec.yaml", {"steps": 20})
    assert spec.dataset == str(tmp_path / "camvid.yaml")
    assert (spec.lr, spec.steps) == (1e-4, 20)
    assert RunSpec(**parse_yaml(spec.to_yaml())) == spec
    blocks = spec.replace(trained_blocks=4)
    assert RunSpec(**parse_yaml(blocks.to_yaml())) == blocks == RunSpec.model_validate_json(blocks.model_dump_json())
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "duplicate key"),
        ("a: !!python/object/apply:os.system ['true']\n", "python/object"),
        ("a: &x [1]\nb: [*x, *x]\n", "alias"),
        ("a: [1, 2\n", "is not the YAML"),
        ("[" * 5000, "is not the YAML"),
    ],
)
def test_dangerous_or_broken_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_yaml(text)
    assert message in str(caught.value)


def test_yaml_means_what_it_looks_like() -> None:
    assert parse_yaml("lr: 1e-4\ncountry: no\nodd: 010\n") == {"lr": 1e-4, "country": "no", "odd": 10}


def test_unreadable_spec_files_say_why(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name, message in (
        ("none.yaml", "no file"),
        ("list.yaml", "holds a list"),
        ("bytes.yaml", "cannot be read"),
    ):
        with pytest.raises(SpecError, match=message):
            read_spec(tmp_path / name)


def test_the_key_ignores_defaults_spelled_out_paths_and_how_it_is_scored() -> None:
    assert key(BASE) == key(BASE.replace(steps=40_000, lr=0.0001))
    one, two = (
        BASE.replace(dataset="/a/ade.yaml", weights="/a/w.pt"),
        BASE.replace(dataset="/b/x.yaml", weights="/b/w.pt"),
    )
    assert key(one, dataset="sha256:d", weights="sha256:w") == key(two, dataset="sha256:d", weights="sha256:w")
    for field, value in (("eval_split", "test"), ("eval_dataset", "b.yaml"), ("score_precision", "bf16")):
        assert field in EVALUATION_FIELDS
        assert key(BASE) == key(BASE.replace(**{field: value}))


def test_keys_stay_what_they_were() -> None:
    """Computed before `trained_blocks`, `lora_rank`, `train_fraction` and `images_per_class` were fields."""
    changes: dict[str, dict[str, Any]] = {
        "4c5acefb5a3a7ff6": {},
        "72c7e63c7ba6b2f6": {"freeze": True},
        "d444355f5c65f78f": {"patch_size": 8, "crop": 1024, "steps": 20_000},
        "ce7ed74e27d241a3": {"decoder": "mask2former", "lr": 3e-4, "seed": 2},
    }
    keys = [key_of(identity(BASE.replace(**change), {"dataset": "sha256:1"}, "bf16")) for change in changes.values()]
    assert keys == list(changes)


def test_the_key_tells_everything_else_apart() -> None:
    other = {
        "encoder": "timm:vit_base_patch16_224.dino", "dataset": "voc.yaml", "weights": "random", "freeze": True,
        "patch_size": 8, "crop": 1024, "normalisation": "imagenet", "train_split": "all", "steps": 1, "batch_size": 8,
        "lr": 1e-3, "encoder_lr_multiplier": 1.0, "weight_decay": 0.0, "poly_power": 1.0, "seed": 1,
        "decoder": "mask2former", "trained_blocks": 4, "lora_rank": 8, "train_fraction": 0.1, "images_per_class": 1,
    }  # fmt: skip
    others = {"precision", "ignored_pixels", "lora_alpha"}
    untested = set(RunSpec.model_fields) - set(other) - set(EVALUATION_FIELDS) - others
    assert not untested, "a new field needs a line here"
    keys = {key(BASE), *(key(BASE.replace(**{name: value})) for name, value in other.items())}
    masks = [BASE.replace(decoder=decoder) for decoder in ("mask2former", "eomt")]
    keys |= {key(spec.replace(ignored_pixels=value)) for spec in masks for value in ("excluded", "negative")}
    assert len(keys) == len(other) + 1 + 3
    assert key(BASE.replace(lora_rank=8, lora_alpha=8)) != key(BASE.replace(lora_rank=8))
    assert key(BASE, dataset="sha256:1") != key(BASE, dataset="sha256:2")
    assert key_of(identity(BASE, {}, "fp32")) != key_of(identity(BASE, {}, "bf16"))


def test_references() -> None:
    assert parse_reference("scenes?look=dusk&size=96x128&n=3") == (
        "",
        "scenes",
        {"look": "dusk", "size": "96x128", "n": 3},
    )
    with pytest.raises(SpecError, match="cannot be read"):
        parse_reference("scenes?look")


def test_ignored_pixels_take_no_part_by_default() -> None:
    """Unlike in the reference code."""
    assert RunSpec(encoder="small:vit", dataset="scenes", decoder="mask2former").ignored_pixels == "excluded"
