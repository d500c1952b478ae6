"""Calibrations: measured in a process of their own, kept, and used."""

from __future__ import annotations

from pathlib import Path

import pytest

from segrank.spec import RunSpec
from segrank.study.calibrations import calibrate, known_calibrations, representatives
from segrank.study.flops import work_of
from segrank.study.images import Datasets
from segrank.study.observations import place_of, traits_of
from segrank.study.predict import Predictor

SPEC = RunSpec(
    encoder="small:shallow", weights="random", dataset="scenes?size=32&train=8&val=4", crop=(32, 32), precision="fp32"
)  # fmt: skip


class Heard:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        pass


def test_a_few_steps_are_measured_kept_and_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGRANK_CACHE", str(tmp_path))
    datasets, heard = Datasets(None), Heard()
    broken = SPEC.replace(encoder="timm:no_such_model")
    [measured] = calibrate([broken, SPEC], datasets, root=None, device="cpu", seconds=1, reporter=heard)
    assert len(heard.lines) == 1
    assert "no_such_model" in heard.lines[0]
    assert measured.traits == traits_of(SPEC)
    assert (measured.source, measured.place) == ("calibration", place_of("cpu"))
    assert measured.compute_s > 0
    assert measured.data_s is not None
    assert measured.windows == 1
    counted = work_of(SPEC, 16)
    assert counted is not None
    assert abs((measured.train_flops or 0) / counted.train_flops - 1) < 0.01
    assert measured in known_calibrations()
    prediction = Predictor(known_calibrations(), place_of("cpu"), "cpu", datasets.scored).predict(SPEC)
    assert prediction.basis == "a calibration like it"
    assert prediction.seconds


def test_one_encoder_stands_for_those_that_differ_in_nothing_else() -> None:
    others = [SPEC.replace(encoder=f"small:{name}") for name in ("plain", "rope")]
    unknown = SPEC.replace(encoder="timm:vit_tiny_patch16_224")
    frozen = [spec.replace(freeze=True) for spec in (SPEC, unknown)]
    chosen = representatives([SPEC, *others, unknown, *frozen], Datasets(None))
    assert chosen == [SPEC.replace(encoder="small:plain"), frozen[0], unknown]  # the middle one; unknown ones once
