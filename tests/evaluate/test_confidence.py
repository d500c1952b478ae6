"""Confidences, made in rows, against a softmax over all scores of the image; and what is counted of them."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from test_label_maps import CPU, Grids, Masks, blank, plain_scores, upsampled
from torch import Tensor

from segrank import _torchvision  # noqa: F401
from segrank.assemble import DECODERS, build_segmenter
from segrank.counts import BINS, CALIBRATION, CONFIDENCE, CONFIDENCE_ONE, counts_table
from segrank.evaluate import labels_numba, labels_torch, sliding
from segrank.evaluate.calibration import calibration_counts
from segrank.evaluate.sliding import predict, predict_confidence
from segrank.metrics import calibration_error
from segrank.spec import RunSpec

# isort: split
# Torchmetrics imports torchvision, which comes after `_torchvision`.
from torchmetrics.classification import MulticlassCalibrationError


@pytest.fixture(params=[labels_numba, labels_torch], ids=["numba", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sliding, "labels_numba", request.param)
    assert isinstance(request.param, ModuleType)
    return request.param


@pytest.mark.parametrize("own", [(300, 500), (256, 256), (90, 61), (1, 1)], ids=str)
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 1000.0])
def test_of_logits_it_is_the_softmax(own: tuple[int, int], spread: float, way: ModuleType) -> None:
    def make() -> Grids:
        return Grids(19, 16, lambda grid: grid * spread)

    network = make()
    labels, confidence = predict_confidence(network, blank(own), (256, 256), device=CPU)
    scores = plain_scores([upsampled(grid, (256, 256)) for grid in network.grids], own, (256, 256))
    wanted = scores.double().softmax(0).amax(0)
    assert confidence.dtype == np.float32
    # where scores differ by a thousand, what float32 rounds of a score shows in the exponent
    assert np.abs(confidence - wanted.numpy()).max() < 5e-7 * max(1.0, spread)
    assert (labels == predict(make(), blank(own), (256, 256), device=CPU)).all()


def test_many_classes_and_tiles(way: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = predict_confidence(Grids(150, 16), blank((300, 431)), (128, 160), device=CPU)
    monkeypatch.setattr(way, "_TILE_BYTES", 2**18)
    parts = predict_confidence(Grids(150, 16), blank((300, 431)), (128, 160), device=CPU)
    assert (parts[0] == whole[0]).all()
    assert np.abs(parts[1] - whole[1]).max() < 1e-6  # torch sums in another order
    assert 1 / 150 <= whole[1].min() < whole[1].max() <= 1


@pytest.mark.parametrize("own", [(300, 500), (256, 256)], ids=str)
def test_of_other_scores_it_is_the_share(own: tuple[int, int], way: ModuleType) -> None:
    network = Masks()
    _, confidence = predict_confidence(network, blank(own), (256, 256), device=CPU)
    parts = [
        torch.einsum("qhw, qc -> chw", upsampled(masks, (256, 256)).sigmoid(), chances)
        for masks, chances in network.seen
    ]
    scores = plain_scores(parts, own, (256, 256)).double()
    assert np.abs(confidence - (scores.amax(0) / scores.sum(0)).numpy()).max() < 1e-6


def test_without_any_score_all_classes_are_alike(way: ModuleType) -> None:
    class Nothing(Grids):
        scores_are_logits = False

    network = Nothing(4, 16, torch.zeros_like)
    labels, confidence = predict_confidence(network, blank((64, 64)), (64, 64), device=CPU)
    assert (labels == 0).all()
    assert (confidence == 0.25).all()


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_says_what_its_scores_are(decoder: str) -> None:
    spec = RunSpec(encoder="small:plain", weights="random", dataset="scenes", crop=(64, 64)).replace(decoder=decoder)
    segmenter, _ = build_segmenter(spec, 3)
    assert segmenter.scores_are_logits is (decoder == "linear")


def samples(seed: int) -> tuple[np.ndarray, Tensor]:
    """Labels with ignored pixels, and probabilities (classes h w) in which there is something right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, (60, 70), dtype=np.uint8)
    logits = rng.normal(0, 2, (5, 60, 70)) + 2 * (labels == np.arange(5)[:, None, None])
    labels[rng.random(labels.shape) < 0.2] = 255
    return labels, torch.from_numpy(logits).softmax(0).float()


def test_the_calibration_error_is_that_of_torchmetrics() -> None:
    metric = MulticlassCalibrationError(5, n_bins=BINS, ignore_index=255)
    kinds = []
    for seed in range(3):
        labels, probabilities = samples(seed)
        share, best = probabilities.max(0)
        kinds.append(calibration_counts(labels, best.numpy().astype(np.uint8), share.numpy()))
        metric.update(probabilities[None], torch.from_numpy(labels).long()[None])
    table = counts_table("abc", kinds)
    assert calibration_error(table) == pytest.approx(float(metric.compute()), abs=2e-6)
    assert table.filter(kind=CALIBRATION)["pixels"].sum() == sum((samples(s)[0] != 255).sum() for s in range(3))


def test_a_count_by_hand() -> None:
    labels = np.array([[0, 1, 1, 255, 2]], np.uint8)
    prediction = np.array([[0, 1, 0, 0, 0]], np.uint8)
    # 1/3 is the edge of the fifth bin and the sixth, but as a float32 a little above it
    confidence = np.array([[1.0, 0.95, 0.5, 0.7, 1 / 3]], np.float32)
    found = calibration_counts(labels, prediction, confidence)
    assert found[CALIBRATION].tolist() == [[0, 0]] * 5 + [[1, 0]] + [[0, 0]] + [[1, 0]] + [[0, 0]] * 6 + [[0, 2]]
    assert found[CONFIDENCE][:, 0] / CONFIDENCE_ONE == pytest.approx(
        [0] * 5 + [1 / 3, 0, 0.5] + [0] * 6 + [1.95], abs=1e-7
    )
    error = (abs(0 - 1 / 3) + abs(0 - 0.5) + abs(2 - 1.95)) / 4
    assert calibration_error(counts_table(["a"], [found])) == pytest.approx(error, abs=1e-6)


def test_large_images_are_counted_in_parts_exactly() -> None:
    rng = np.random.default_rng(0)
    labels, prediction = rng.integers(0, 3, (2, 700, 900), dtype=np.uint8)
    confidence = rng.random((700, 900), np.float32)
    found = calibration_counts(labels, prediction, confidence)
    assert found[CONFIDENCE].sum() == int((confidence.astype(np.float64) * CONFIDENCE_ONE).sum())
    assert found[CALIBRATION].sum(axis=0).tolist() == [(labels != prediction).sum(), (labels == prediction).sum()]
    bins = np.histogram(confidence, np.linspace(0, 1, BINS + 1))[0]
    assert np.abs(found[CALIBRATION].sum(axis=1) - bins).max() <= 1  # an edge counts elsewhere
