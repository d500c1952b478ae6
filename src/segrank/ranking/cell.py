"""Cell: every run of one comparable protocol scored on one split, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """Pixels per image and class, of every run of a cell.

    20 encoders x 5 seeds x 2,000 images x 150 classes take 240 MB: int32 holds any image of less than 2,147 million
    pixels, and what is summed over images is summed in int64. Seeds are kept apart, as an encoder's mIoU is the mean of
    its seeds' mIoUs, which is not the mIoU of their summed counts.
    """

    names: tuple[str, ...]
    """Of the images, in the order of the rows below. Each is drawn by itself: frames of one video are not independent,
    see `grouped`."""
    classes: tuple[str, ...]
    """Names of the scored classes, which are those with labelled pixels in these images."""
    truth: NDArray[np.int32]
    """(images, classes): labelled pixels."""
    hits: tuple[NDArray[np.int32], ...]
    """Per encoder (seeds, images, classes): pixels of the class that were predicted as such."""
    predicted: tuple[NDArray[np.int32], ...]
    """Per encoder (seeds, images, classes): labelled pixels that were predicted as the class, rightly or not."""

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.classes))
        assert self.truth.shape == shape, f"{self.truth.shape} labelled pixels of {shape}"
        assert len(self.hits) == len(self.predicted)
        for hits, predicted in zip(self.hits, self.predicted, strict=True):
            assert hits.shape == predicted.shape == (len(hits), *shape), f"{hits.shape}, {predicted.shape}"
            assert hits.dtype == predicted.dtype == self.truth.dtype == np.int32
            assert (hits <= np.minimum(predicted, self.truth)).all(), "more hits than pixels"
        assert (self.truth >= 0).all()
        assert self.truth.any(axis=0).all(), "a scored class has labelled pixels"

    def grouped(self, by: Sequence[str]) -> ImageCounts:
        """Counts summed over the images of a group, such as the frames of one video: groups are then what is drawn.

        Args:
            by: per image the name of its group.
        """
        names, group = np.unique(np.array(by), return_inverse=True)
        assert group.shape == (len(self.names),), f"{group.size} groups for {len(self.names)} images"

        def summed(counts: NDArray[np.int32]) -> NDArray[np.int32]:
            total = np.zeros((len(names), *counts.shape[1:]), np.int64)
            np.add.at(total, group, counts)
            assert total.max() < 2**31, "more pixels in one group than int32 holds"
            return total.astype(np.int32)

        def of_runs(counts: NDArray[np.int32]) -> NDArray[np.int32]:
            return np.stack([summed(run) for run in counts])

        return ImageCounts(
            names=tuple(names.tolist()),
            classes=self.classes,
            truth=summed(self.truth),
            hits=tuple(of_runs(hits) for hits in self.hits),
            predicted=tuple(of_runs(predicted) for predicted in self.predicted),
        )


@dataclass(frozen=True, eq=False)
class Cell:
    """Runs that may be ranked together: they differ in encoder and seed and in nothing else, and are scored alike."""

    encoders: tuple[str, ...]
    """Names, all different."""
    seeds: tuple[tuple[int, ...], ...]
    """Per encoder the seeds of its runs: at least one, all different. Encoders may have different ones."""
    runs: tuple[tuple[str, ...], ...]
    """Per encoder and seed what names the run: its key, or the row of a table."""
    scores: tuple[NDArray[np.float64], ...]
    """Per encoder (seeds,), finite: mIoU 0 to 1, or another metric in its own unit."""
    images: ImageCounts | None = None
    """In the order of `encoders` and `seeds`. Without them no interval covers the choice of test images."""
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        count = len(self.encoders)
        assert len(set(self.encoders)) == count > 0, f"encoders {self.encoders}"
        assert len(self.seeds) == len(self.runs) == len(self.scores) == count
        for seeds, runs, scores in zip(self.seeds, self.runs, self.scores, strict=True):
            assert len(set(seeds)) == len(seeds) == len(runs) == len(scores) > 0
            assert scores.dtype == np.float64
            assert np.isfinite(scores).all()
        if self.images is not None:
            assert [hits.shape[0] for hits in self.images.hits] == [len(seeds) for seeds in self.seeds]
