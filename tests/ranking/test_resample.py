import numpy as np
import pytest
from generated_cells import random_counts
from numpy.typing import NDArray

from segrank import counts
from segrank.ranking import resample
from segrank.ranking.cell import ImageCounts
from segrank.ranking.resample import exact_miou, image_draws, image_weights


def plain_miou(images: ImageCounts, encoder: int, seed: int, rows: NDArray[np.intp]) -> float:
    truth = images.truth[rows].sum(axis=0, dtype=np.int64)
    hits = images.hits[encoder][seed, rows].sum(axis=0, dtype=np.int64)
    predicted = images.predicted[encoder][seed, rows].sum(axis=0, dtype=np.int64)
    return float(np.mean([hits[c] / (truth[c] + predicted[c] - hits[c]) for c in np.flatnonzero(truth)]))


def test_miou_equals_that_of_the_confusion() -> None:
    random = np.random.default_rng(0)
    confusions = random.integers(0, 10**6, (6, 5, 5))
    confusions[:, 3] = 0  # never labelled, sometimes predicted
    scored = [0, 1, 2, 4]
    images = ImageCounts(
        names=tuple("abcdef"),
        classes=tuple("wxyz"),
        truth=confusions.sum(axis=2)[:, scored].astype(np.int32),
        hits=(np.diagonal(confusions, axis1=1, axis2=2)[None][..., scored].astype(np.int32),),
        predicted=(confusions.sum(axis=1)[None][..., scored].astype(np.int32),),
    )
    wanted = counts.scores(confusions.sum(axis=0), list("vwxyz")).miou
    assert exact_miou(images)[0] == pytest.approx([wanted], abs=1e-15)


def test_resamples_equal_a_plain_loop_over_the_same_images() -> None:
    images = random_counts(encoders=3, seeds=2, images=12, classes=9)
    drawn = image_draws(images, resamples=200, seed=5)
    weights = np.concatenate(list(image_weights(12, 200, 5))).astype(int)
    assert (weights.sum(axis=1) == 12).all()
    assert ((weights @ images.truth) == 0).any(), "no resample is without some class"
    for encoder in range(3):
        wanted = [[plain_miou(images, encoder, s, np.repeat(np.arange(12), w)) for s in range(2)] for w in weights]
        np.testing.assert_allclose(drawn.miou[encoder], wanted, atol=2e-6)


def test_images_are_drawn_alike_with_replacement() -> None:
    weights = np.concatenate(list(image_weights(40, 4000, 1)))
    # binomial with 40 draws at 1/40: mean 1, variance 39/40
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.08)
    assert weights.var() == pytest.approx(39 / 40, abs=0.02)
    assert np.unique(weights, axis=0).shape[0] == 4000


def test_few_images_at_a_time_are_as_many_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "_WEIGHTS", 100)
    images = random_counts(encoders=1, seeds=1, images=30, classes=4)
    drawn = image_draws(images, resamples=50).miou[0]
    assert drawn.shape == (50, 1)
    assert drawn.mean() == pytest.approx(exact_miou(images)[0][0], abs=0.05)
    assert [len(part) for part in image_weights(30, 50, 0)] == [3] * 16 + [2]


def test_images_of_a_group_are_drawn_together() -> None:
    images = random_counts(encoders=2, seeds=2, images=6, classes=3)
    grouped = images.grouped(["b", "a", "b", "c", "a", "b"])
    assert grouped.names == ("a", "b", "c")
    assert (grouped.truth[1] == images.truth[[0, 2, 5]].sum(axis=0)).all()
    assert (grouped.hits[1][0, 0] == images.hits[1][0, [1, 4]].sum(axis=0)).all()
    for of, wanted in zip(exact_miou(grouped), exact_miou(images), strict=True):
        assert of == pytest.approx(wanted)


def test_counts_must_add_up() -> None:
    images = random_counts(encoders=1, seeds=1, images=3, classes=2)
    with pytest.raises(AssertionError, match="more hits than pixels"):
        ImageCounts(images.names, images.classes, images.truth, (images.truth[None] + 1,), (images.truth[None] + 1,))
    nothing = np.zeros_like(images.truth)
    with pytest.raises(AssertionError, match="has labelled pixels"):
        ImageCounts(images.names, images.classes, nothing, (nothing[None],), (nothing[None],))
