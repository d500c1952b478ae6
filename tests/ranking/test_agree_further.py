"""Whether the ranking changes under each further evaluation: near contours, in calibration, on spoilt images."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_store import add_run, confusions, evaluation_of

from segrank.counts import BOUNDARY, CALIBRATION, CONFIDENCE, CONFIDENCE_ONE, CONFUSION, counts_table
from segrank.ranking.agree import agree
from segrank.ranking.agree_words import answer
from segrank.ranking.leaderboard import Options
from segrank.ranking.table import results_of
from segrank.store import Store

ACCURACY = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}
NEAR_CONTOURS = {"a": 60, "b": 70, "c": 50, "d": 40}
OVERCONFIDENT = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}
SPOILT = {"a": 0.3, "b": 0.8, "c": 0.7, "d": 0.6}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("further"))
    for name, accuracy in ACCURACY.items():
        key = add_run(store, name, accuracy)
        record = store.published(key)
        assert record is not None
        counts = confusions(accuracy, f"{name}0")
        near = np.array([[NEAR_CONTOURS[name], 20, 100 - NEAR_CONTOURS[name]]] * 3)
        bins = np.zeros((15, 2), np.int64)
        bins[-1] = [100 * OVERCONFIDENT[name], 100 - 100 * OVERCONFIDENT[name]]
        sure = np.zeros((15, 1), np.int64)
        sure[-1] = 100 * CONFIDENCE_ONE
        kinds = {BOUNDARY: near, CALIBRATION: bins, CONFIDENCE: sure}
        more = evaluation_of(key, counts, spec=record.spec, split="val", also=("boundary", "calibration"))
        names = [f"val/{number:03}" for number in range(len(counts))]
        store.add_evaluation(more, counts_table(names, [{CONFUSION: matrix, **kinds} for matrix in counts]))
        spoilt = confusions(SPOILT[name], f"{name} spoilt")
        jpeg = evaluation_of(key, spoilt, spec=record.spec, split="val", corruption="jpeg", severity=3)
        store.add_evaluation(jpeg, counts_table(names, [{CONFUSION: matrix} for matrix in spoilt]))
    return store


def test_the_order_near_contours_and_in_calibration(evaluated: Store) -> None:
    results = results_of(evaluated, with_further=True)
    metrics = ["miou", "boundary_iou", "calibration_error"]
    found = agree(results, metrics=metrics, options=Options(resamples=200), draws=100)
    assert [setting.name for setting in found.settings] == metrics
    near, sure, _ = (pair.found for pair in found.pairs)
    assert near.tau == pytest.approx(4 / 6)
    assert near.moves == (1, -1, 0, 0)
    assert sure.tau == pytest.approx(1)  # less is better
    runs = [setting.cell.runs for setting in found.settings]
    assert runs[0] == runs[1] == runs[2]


def test_the_order_on_spoilt_images(evaluated: Store) -> None:
    found = agree(results_of(evaluated), across=["corruption", "severity"], options=Options(resamples=200), draws=100)
    (pair,) = found.pairs
    assert (pair.x.name, pair.y.name) == ("none", "jpeg")
    assert pair.found.moves == (3, -1, -1, -1)
    assert {(flip.a, flip.b, flip.verdict) for flip in pair.found.flips} == {
        ("small:a with random weights", f"small:{name} with random weights", "real") for name in "bcd"
    }
    assert answer(found).startswith("tau between none and jpeg is 0.00")
