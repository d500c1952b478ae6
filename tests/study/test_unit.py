"""Units: the keys that a study's runs have here, and what cannot be run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from segrank.errors import SpecError
from segrank.inputs import identify, open_data
from segrank.spec import RunSpec, key_of
from segrank.study import devices
from segrank.study.devices import Gpu, device_for, precision_for, visible_gpus
from segrank.study.study import Cell, Study
from segrank.study.unit import units_of

SPEC = RunSpec(
    encoder="small:shallow", weights="random", dataset="scenes?size=32&train=8&val=4", crop=(32, 32), patch_size=8
)


def study(*cells: tuple[str, RunSpec]) -> Study:
    return Study("s", "", tuple(Cell("e", setting, spec) for setting, spec in cells))


def test_a_units_key_is_its_runs_and_equal_cells_are_one_unit() -> None:
    units, missing = units_of(
        study(("base", SPEC), ("same", SPEC.replace(precision="fp32")), ("dusk", SPEC.replace(eval_split="shift"))),
        device="cpu",
    )
    assert not missing
    expected = key_of(identify(SPEC, open_data(SPEC).train_split, "fp32"))
    assert [(unit.key, unit.settings) for unit in units] == [(expected, ("base", "same")), (expected, ("dusk",))]
    assert not set(units[0].evaluations) & set(units[1].evaluations)  # one run, scored in two ways
    assert units[0].spec.precision == "fp32"


def test_what_is_not_there_is_missing_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    wrong = {
        "nowhere.yaml": SPEC.replace(dataset=str(tmp_path / "nowhere.yaml")),
        "no weights file": SPEC.replace(weights="nowhere.safetensors"),
        "no encoder's source": SPEC.replace(encoder="file:nowhere.py:build"),
        "there are no pretrained weights": SPEC.replace(weights="pretrained"),
        "needs a GPU": SPEC.replace(precision="fp16"),
    }
    found = units_of(study(*wrong.items(), ("base", SPEC)), device="cpu")
    assert [unit.settings for unit in found.units] == [("base",)]
    assert [(one.setting, one.spec) for one in found.missing] == list(wrong.items())
    for one in found.missing:
        assert "there is no" in one.reason or one.setting in one.reason, one.reason


def test_files_are_named_so_that_a_worker_elsewhere_finds_them_and_the_key_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.py").write_text("def build(crop, patch_size): ...")
    monkeypatch.chdir(tmp_path)
    spec = SPEC.replace(encoder="file:model.py:build?a=1")
    [unit], _ = units_of(study(("base", spec)), device="cpu")
    assert unit.spec.encoder == f"file:{tmp_path / 'model.py'}:build?a=1"
    assert unit.key == key_of(identify(spec, open_data(spec).train_split, "fp32"))


def test_each_dataset_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from segrank.study import unit as module

    asked = []

    def counting(spec: RunSpec, root: object = None) -> Any:
        asked.append(spec.dataset)
        return open_data(spec)

    monkeypatch.setattr(module, "open_data", counting)
    cells = [("base", SPEC.replace(seed=seed)) for seed in range(20)]
    units, _ = units_of(study(*cells, ("dusk", SPEC.replace(eval_split="shift"))), device="cpu")
    assert len({unit.key for unit in units}) == 20
    assert len(asked) == 2


SMI = """#!/bin/sh
echo "0, GPU-aaaa1111, {first}"
echo "1, GPU-bbbb2222, {second}"
"""


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def pretend(first: str = "9.0", second: str = "8.6", visible: str | None = None) -> None:
        (tmp_path / "nvidia-smi").write_text(SMI.format(first=first, second=second))
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        devices._visible.cache_clear()

    yield pretend
    devices._visible.cache_clear()


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["0", "1"]), ("", []), ("1", ["1"]), ("1,0", ["1", "0"]), ("-1", []), ("0,7,1", ["0"]),
        ("GPU-bbbb", ["GPU-bbbb"]),
    ],
)  # fmt: skip
def test_gpus_are_those_that_cuda_would_see(gpus: Any, visible: str | None, names: list[str]) -> None:
    gpus(visible=visible)
    assert [gpu.name for gpu in visible_gpus()] == names
    assert device_for("auto") == ("cuda" if names else "cpu")


def test_precision_comes_to_the_same_on_a_head_without_gpus_as_on_its_nodes(gpus: Any) -> None:
    assert precision_for(SPEC, "cpu") == "fp32"
    gpus(visible="")
    assert precision_for(SPEC, "cuda") == "bf16"
    gpus()
    assert precision_for(SPEC, "cuda") == "bf16"
    assert visible_gpus() == (Gpu("0", True), Gpu("1", True))
    gpus(second="7.5")
    assert precision_for(SPEC, "cuda") == "fp16"
    assert precision_for(SPEC.replace(precision="bf16"), "cuda") == "bf16"
    with pytest.raises(SpecError, match='no device "tpu"'):
        device_for("tpu")
