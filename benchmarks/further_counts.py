"""What evaluation counts besides confusions, beside the plain ways: time, and memory of the confidences.

    python benchmarks/further_counts.py

Plain, confidences: all windows' scores at the image's size, then a softmax. Plain, contours: each class's mask eroded
by scipy as the definition of Boundary IoU says, for the classes that occur. Both are timed without the network, whose
outputs are there. Then the time that each corruption takes for an image. Takes about 1 minute on 2 cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from paired import Call, paired, peak_mib
from scipy import ndimage
from torch import Tensor

from segrank.evaluate.boundary import boundary_counts
from segrank.evaluate.corruptions import KINDS, Corruption, corrupt
from segrank.evaluate.sliding import predict, predict_confidence
from segrank.evaluate.windows import resized_size, windows

CLASSES, CROP, SIZES, CPU = 150, (512, 512), [(512, 683), (1000, 1500)], torch.device("cpu")

Bytes = NDArray[np.uint8]


class Replayed:
    """A segmenter whose network has run."""

    classes, scores_are_logits = CLASSES, True

    def __init__(self) -> None:
        self.grids = torch.randn(2, CLASSES, 32, 32, generator=torch.Generator().manual_seed(0))

    def output(self, images: Tensor) -> Tensor:
        return self.grids[: len(images)]

    def scores(self, output: Tensor, image: int) -> Tensor:
        return output[image]


@torch.inference_mode()
def confidence_plainly(own: tuple[int, int], grids: Tensor) -> tuple[Tensor, Tensor]:
    size = resized_size(own, CROP)
    total, count = torch.zeros(CLASSES, *size), torch.zeros(size)
    for grid, (top, left) in zip(grids, windows(size, CROP), strict=True):
        inside = (slice(None), slice(top, top + CROP[0]), slice(left, left + CROP[1]))
        total[inside] += F.interpolate(grid[None], CROP, mode="bilinear")[0]
        count[inside[1:]] += 1
    share, label = F.interpolate((total / count)[None], own, mode="bilinear")[0].softmax(0).max(0)
    return label, share


def prepare(ours: bool, own: tuple[int, int]) -> Call:
    if ours:
        segmenter, image = Replayed(), np.zeros((*own, 3), np.uint8)
        predict_confidence(segmenter, np.zeros((520, 520, 3), np.uint8), CROP, device=CPU)  # compiles
        return partial(predict_confidence, segmenter, image, CROP, device=CPU)
    return partial(confidence_plainly, own, Replayed().grids)


def labels_alone(own: tuple[int, int]) -> Call:
    return partial(predict, Replayed(), np.zeros((*own, 3), np.uint8), CROP, device=CPU)


def scene(own: tuple[int, int], seed: int) -> Bytes:
    """Sixteen classes in smooth regions."""
    coarse = np.random.default_rng(seed).normal(size=(16, own[0] // 8, own[1] // 8))
    regions = ndimage.gaussian_filter(coarse, (0, 4, 4)).argmax(0).astype(np.uint8)
    return np.asarray(ndimage.zoom(regions, (own[0] / regions.shape[0], own[1] / regions.shape[1]), order=0))


def boundary_plainly(labels: Bytes, prediction: Bytes) -> NDArray[np.int64]:
    reach = round(0.02 * float(np.hypot(*labels.shape)))
    counts = np.zeros((CLASSES, 3), np.int64)
    for c in np.union1d(labels, prediction).tolist():
        truth, predicted = (_band(values == c, reach) for values in (labels, prediction))
        counts[c] = (truth & predicted).sum(), (truth & ~predicted).sum(), (predicted & ~truth).sum()
    return counts


def _band(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    return np.asarray(mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=reach))


def milliseconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1e3 * sorted(times)[1]


def main() -> None:
    for own in SIZES:
        print(f"{own[0]}x{own[1]}")
        print(f"  {paired('labels with confidences', prepare(False, own), prepare(True, own), rounds=3)}")
        print(f"  {paired('labels alone (plain) and with them', labels_alone(own), prepare(True, own), rounds=5)}")
        taken, least = peak_mib(partial(prepare, False, own)), peak_mib(partial(prepare, True, own))
        print(f"  memory: plain {taken:.0f} MiB, ours {least:.0f} MiB")
        pair = scene(own, 0), scene(own, 1)
        assert (boundary_plainly(*pair) == boundary_counts(*pair, CLASSES)).all()
        plain, ours = partial(boundary_plainly, *pair), partial(boundary_counts, *pair, CLASSES)
        print(f"  {paired('pixels near contours, 16 classes', plain, ours, rounds=3)}")
        image = np.random.default_rng(0).integers(0, 256, (*own, 3), np.uint8)
        times = (f"{kind} {milliseconds(partial(corrupt, image, Corruption(kind, 3), 'a')):.0f} ms" for kind in KINDS)
        print(f"  {', '.join(times)}")


if __name__ == "__main__":
    main()
