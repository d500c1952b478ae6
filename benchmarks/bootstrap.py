"""The paired bootstrap over images beside the plain loop: 20 encoders, 2,000 images, 150 classes.

    python benchmarks/bootstrap.py

Plain: for each resample, index the counts of all encoders with the drawn images and sum. It is timed on few resamples,
and so are we for the ratio; then 10,000 of ours alone, with the memory they take. About a minute on 2 cores.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from paired import Call, paired, peak_mib

from segrank.ranking.cell import ImageCounts
from segrank.ranking.resample import image_draws, image_weights

ENCODERS, IMAGES, CLASSES = 20, 2_000, 150
FEW = 20
RESAMPLES = 10_000


def counts(seeds: int = 1) -> ImageCounts:
    """Each image holds about ten classes."""
    random = np.random.default_rng(0)
    present = random.random((IMAGES, CLASSES)) < 0.07
    present[np.arange(CLASSES), np.arange(CLASSES)] = True
    truth = (present * random.integers(100, 50_000, (IMAGES, CLASSES))).astype(np.int32)
    hits, predicted = [], []
    for _ in range(ENCODERS):
        found = (truth * random.uniform(0.3, 0.9, (seeds, IMAGES, CLASSES))).astype(np.int32)
        wrong = random.integers(0, 5_000, found.shape) * (random.random(found.shape) < 0.05)
        hits.append(found)
        predicted.append((found + wrong).astype(np.int32))
    names = tuple(str(number) for number in range(IMAGES))
    return ImageCounts(names, tuple(str(number) for number in range(CLASSES)), truth, tuple(hits), tuple(predicted))


def plain(images: ImageCounts, resamples: int) -> NDArray[np.float64]:
    """(resamples, encoders)."""
    found = np.empty((resamples, ENCODERS))
    weights = np.concatenate(list(image_weights(IMAGES, resamples, 0))).astype(np.int64)
    hits, predicted = (np.concatenate(each) for each in (images.hits, images.predicted))
    for number, drawn in enumerate(np.repeat(np.arange(IMAGES), row) for row in weights):
        truth = images.truth[drawn].sum(axis=0, dtype=np.int64)
        right = hits[:, drawn].sum(axis=1, dtype=np.int64)
        union = truth + predicted[:, drawn].sum(axis=1, dtype=np.int64) - right
        scored = truth > 0
        found[number] = (right[:, scored] / union[:, scored]).mean(axis=1)
    return found


def ours(images: ImageCounts, resamples: int) -> NDArray[np.float32]:
    return np.concatenate(image_draws(images, resamples=resamples).miou, axis=1)


def prepare() -> Call:
    images = counts()
    return lambda: ours(images, RESAMPLES)


def main() -> None:
    images = counts()
    np.testing.assert_allclose(ours(images, FEW), plain(images, FEW), atol=2e-6)
    ratio = paired(f"{FEW} resamples", lambda: plain(images, FEW), lambda: ours(images, FEW), rounds=3)
    print(ratio, flush=True)
    for seeds in (1, 5):
        of_seeds = counts(seeds)
        started = time.perf_counter()
        ours(of_seeds, RESAMPLES)
        taken = time.perf_counter() - started
        loop = RESAMPLES / FEW * ratio.plain_s * seeds
        print(f"{RESAMPLES} resamples, {seeds} seed(s): {taken:.1f} s; the plain loop at its pace {loop:.0f} s")
    print(f"memory beyond the counts, {RESAMPLES} resamples: {peak_mib(prepare):.0f} MiB")


if __name__ == "__main__":
    main()
