"""Predictions against times that follow from a known rate, computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from segrank.spec import RunSpec
from segrank.study.flops import work_of
from segrank.study.images import Scored
from segrank.study.observations import Observation, traits_of
from segrank.study.predict import Predictor, fitted

PLACE = "cpu of here"
SCORED = Scored(classes=16, images=80, split=None)
BASE = RunSpec(
    encoder="timm:vit_base_patch16_224.mae", dataset="scenes", precision="fp32", crop=(256, 256), steps=100,
    batch_size=8,
)  # fmt: skip
SMALL = BASE.replace(encoder="timm:vit_small_patch14_dinov2.lvd142m")
LARGE = BASE.replace(encoder="timm:vit_large_patch16_224.mae")
OVERHEAD_S, RATE = 0.05, 1e11
"""Of an image, and FLOPs a second."""


def seen(spec: RunSpec, **changes: Any) -> Observation:
    """A finished run on a machine that computes at `RATE`."""
    work = work_of(spec, SCORED.classes)
    assert work is not None
    windows = SCORED.windows(spec.crop)
    known: dict[str, Any] = {
        "source": "run",
        "traits": traits_of(spec),
        "place": PLACE,
        "dataset": spec.dataset,
        "eval_dataset": spec.dataset,
        "compute_s": OVERHEAD_S + work.train_flops / RATE,
        "optimizer_s": 1e-9 * work.trained_parameters,
        "data_s": 0.01,
        "evaluation_s": OVERHEAD_S + windows * work.forward_flops / RATE,
        "windows": windows,
        "rest_s": 6.0,
        **work._asdict(),
        "micro_batch": 8,
        "host_gib": 1.5,
    }
    return Observation(**{**known, **changes})


def predictor(*observations: Observation, **options: Any) -> Predictor:
    return Predictor(observations, PLACE, "cpu", lambda spec: SCORED, **options)


def test_a_fit_finds_overhead_and_rate_and_neither_is_negative() -> None:
    rate = fitted([(flops, 2 + flops / 4) for flops in (1.0, 10.0, 50.0)])
    assert (rate.overhead_s, rate.per_flop_s) == pytest.approx((2, 0.25))
    assert fitted([(8.0, 2.0)]).seconds(16.0) == pytest.approx(4)
    assert fitted([(1.0, 0.1), (10.0, 20.0)]).overhead_s == 0  # through both it would be negative
    falling = fitted([(1.0, 3.0), (10.0, 2.0)])
    assert falling.per_flop_s == 0
    assert 2 < falling.overhead_s < 3


def test_runs_like_it_tell_all_terms() -> None:
    longer = BASE.replace(steps=1000, seed=3, lr=1e-3)
    prediction = predictor(seen(BASE), seen(BASE), seen(BASE)).predict(longer)
    work = work_of(BASE, 16)
    assert work is not None
    assert prediction.train_s == pytest.approx(
        8000 * (OVERHEAD_S + work.train_flops / RATE) + 1000 * 1e-9 * work.trained_parameters
    )
    assert prediction.data_s == pytest.approx(80)
    # four evaluations along the way, of 50 images each
    windows = SCORED.windows(BASE.crop)
    assert prediction.evaluation_s == pytest.approx(280 * (OVERHEAD_S + windows * work.forward_flops / RATE))
    assert prediction.basis == "runs like it"
    assert prediction.rests_on == "3 finished runs like it"
    assert prediction.host_gib == 1.5
    assert prediction.seconds == pytest.approx((prediction.counted_s or 0) + 4 + 6)
    assert prediction.flops == pytest.approx(8000 * work.train_flops + 280 * windows * work.forward_flops)
    low, high = prediction.range_s or (0, 0)
    assert low < (prediction.seconds or 0) < high


def test_others_tell_overhead_and_rate() -> None:
    others = [seen(spec.replace(freeze=freeze)) for spec in (SMALL, BASE) for freeze in (False, True)]
    prediction, truth = predictor(*others).predict(LARGE), predictor(seen(LARGE)).predict(LARGE)
    assert prediction.basis == "runs, by FLOPs"
    assert prediction.train_s == pytest.approx(truth.train_s)
    assert prediction.evaluation_s == pytest.approx(truth.evaluation_s)
    # each is told rightly by the others, so the spread is the least there is
    assert prediction.spread == pytest.approx(0.02)


def test_runs_go_before_calibrations_like_them() -> None:
    slower = seen(BASE, source="calibration", compute_s=50.0)
    assert predictor(slower, seen(BASE)).predict(BASE).train_s == predictor(seen(BASE)).predict(BASE).train_s
    alone = predictor(slower).predict(BASE)
    assert alone.basis == "a calibration like it"
    assert alone.train_s == pytest.approx(800 * 50, rel=0.01)


def test_nothing_is_made_up() -> None:
    elsewhere = predictor(seen(BASE, place="cpu of another machine")).predict(BASE)
    assert (elsewhere.seconds, elsewhere.range_s, elsewhere.basis) == (None, None, "nothing")
    assert elsewhere.rests_on == f"nothing was measured on {PLACE} yet"
    assert elsewhere.flops
    unknown = BASE.replace(encoder="file:mine.py:build")
    prediction = predictor(seen(BASE)).predict(unknown)
    assert (prediction.seconds, prediction.flops, prediction.host_gib) == (None, None, None)
    assert "no card" in prediction.rests_on
    # once one was counted and timed, another patch size is still unknown, and another seed is not
    like = seen(BASE).model_copy(update={"traits": traits_of(unknown)})
    assert predictor(like).predict(unknown.replace(seed=5)).seconds
    assert predictor(like).predict(unknown.replace(patch_size=8)).seconds is None


def test_how_far_off_predictions_were_is_how_far_they_may_be() -> None:
    past = {"runs like it": [math.log(ratio) for ratio in (1.5, 1 / 1.5, 1.5, 1 / 1.5)]}
    prediction = predictor(seen(BASE), past=past).predict(BASE)
    assert prediction.spread == pytest.approx(math.log(1.5))
    low, high = prediction.range_s or (0, 0)
    assert high / low == pytest.approx(1.5**4)


def test_windows_of_images_that_are_not_here_are_those_of_usual_ones() -> None:
    assert replace(SCORED, images=1).windows((512, 512)) == 2
    assert SCORED.windows((480, 640)) == pytest.approx((1 + 2 + 2) / 3)
