"""One image in, one label map of its size out: the network slides over it in windows of the training crop.

The plain way upsamples each window's scores to the crop, averages them in one array for the resized image, resizes that
to the image's own size and takes the best class. These arrays hold classes x pixels. Here all of it is done for a few
rows of the image at a time, from what the decoder gives for each window.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segrank import _torchvision  # noqa: F401
from segrank.bilinear import Rows, write_rows
from segrank.errors import TrainingError
from segrank.evaluate import labels_numba, labels_torch
from segrank.evaluate.mosaic import Confidence, Filled, Mosaic, Piece, cut, mosaic
from segrank.evaluate.windows import Tile, resized_size, split, windows

# isort: split
# Torchvision comes after the line above, which lets every build of it be imported.
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tvf


class Segmenter(Protocol):
    """What evaluation asks of a network."""

    @property
    def classes(self) -> int: ...

    @property
    def scores_are_logits(self) -> bool:
        """Whether a softmax over the classes makes probabilities of scores. Else they are proportional to them."""
        ...

    def output(self, images: Tensor) -> Any:
        """Whatever `scores` makes scores of, for images (b, 3, H, W), uint8 RGB. Small: all windows' are held."""
        ...

    def scores(self, output: Any, image: int) -> Tensor | Rows:
        """Of one image of the batch: the grid (classes h w) of which its scores are the bilinear upsampling, or what
        computes them."""
        ...


def predict(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    crop: tuple[int, int],
    *,
    device: torch.device,
    window_batch: int = 2,
) -> NDArray[np.uint8]:
    """Label every pixel of one image.

    The image is resized so that it just covers the crop (bilinear, antialias). Window scores are averaged
    where windows overlap and resized to the image's own size (bilinear, no antialias); the best class is
    taken there, of equal ones the first.

    Args:
        segmenter: on `device`, in evaluation mode; each window goes through it once. An autocast around the
            call holds for it, but not for scores.
        image: (h, w, 3), RGB.
        crop: (height, width) of a window.
        device: where windows, their scores and the result are computed.
        window_batch: windows per forward pass.

    Returns:
        (h, w) class indices.

    Raises:
        TrainingError: a score is not finite.
    """
    labels, _ = _predict(segmenter, image, crop, device, window_batch, confident=False)
    return labels.cpu().numpy()


def predict_confidence(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    crop: tuple[int, int],
    *,
    device: torch.device,
    window_batch: int = 2,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """As `predict`, and how probable the network holds each label.

    That is the label's part of the softmax of the averaged and resized scores, or of their sum if they are no logits.

    Returns:
        (h, w) class indices, and (h, w) confidences, 1 / classes to 1.
    """
    labels, share = _predict(segmenter, image, crop, device, window_batch, confident=True)
    assert share is not None
    return labels.cpu().numpy(), share.cpu().numpy()


@torch.inference_mode()
def _predict(
    segmenter: Segmenter,
    image: NDArray[np.uint8],
    crop: tuple[int, int],
    device: torch.device,
    window_batch: int,
    *,
    confident: bool,
) -> tuple[Tensor, Tensor | None]:
    assert segmenter.classes <= 255, "255 means ignored in a label map"
    height, width = image.shape[:2]
    pixels = torch.from_numpy(np.require(image, np.uint8, ["C", "W"])).permute(2, 0, 1)
    size = resized_size((height, width), crop)
    pixels = tvf.resize(pixels, list(size), interpolation=InterpolationMode.BILINEAR, antialias=True)
    places, parts = windows(size, crop), split(pixels, crop)
    seen = []
    for start in range(0, len(parts), window_batch):
        batch = torch.stack(parts[start : start + window_batch]).to(device)
        output = segmenter.output(batch)
        for index, (top, left) in enumerate(places[start : start + len(batch)]):
            seen.append(_Window(top, left, segmenter.scores(output, index)))
    confidence = None
    if confident:
        confidence = Confidence(torch.zeros(height, width, device=device), segmenter.scores_are_logits)
    with torch.autocast(device.type, enabled=False):
        whole = mosaic(crop, size, (height, width), device)
        labels, finite = _label(seen, segmenter.classes, whole, confidence)
    if not finite:
        raise TrainingError(
            "the network's scores are not finite",
            wanted="finite scores for every pixel",
            fix="look at the run's loss; in fp16, evaluate in fp32",
        )
    return labels, confidence and confidence.share


class _Window(NamedTuple):
    """A window that has gone through the network, and where it lies in the resized image."""

    top: int
    left: int
    scores: Tensor | Rows


def _label(seen: list[_Window], classes: int, whole: Mosaic, confidence: Confidence | None) -> tuple[Tensor, Tensor]:
    """Labels (height, width), and whether all scores are finite."""
    device = whole.row_shares.device
    way = labels_numba if device.type == "cpu" else labels_torch
    upsampled = way.UPSAMPLES and all(isinstance(window.scores, Tensor) for window in seen)
    labels = torch.zeros(whole.own, dtype=torch.uint8, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    scores = torch.empty(0, device=device)
    for tile in cut(whole, way.limits(whole, classes, upsampled=upsampled)):
        filled = _grids(tile, seen, whole.crop) if upsampled else _fill(tile, seen, classes, whole.crop, scores)
        finite &= way.label_tile(filled, whole, labels, confidence)
        scores = filled.scores  # the next tile's take their place
    return labels, finite


def _grids(tile: Tile, seen: list[_Window], crop: tuple[int, int]) -> Filled:
    """All windows' grids as they are."""
    grids = torch.stack([window.scores for window in seen if isinstance(window.scores, Tensor)]).float()
    pieces = [
        Piece(slice(window.top, window.top + crop[0]), window.left, grid)
        for window, grid in zip(seen, grids, strict=True)
    ]
    return Filled(tile, pieces, grids.flatten(), upsampled=True)


def _fill(tile: Tile, seen: list[_Window], classes: int, crop: tuple[int, int], scores: Tensor) -> Filled:
    """Ask each window that a tile touches for its scores. Those in `scores` are written over, if there is room."""
    height, width = crop
    touched = []
    for window in seen:
        rows = slice(max(tile.resized.start, window.top), min(tile.resized.stop, window.top + height))
        if rows.start < rows.stop:
            touched.append((window, rows))
    values = [classes * (rows.stop - rows.start) * width for _, rows in touched]
    if len(scores) < sum(values):
        scores = scores.new_empty(sum(values))
    pieces = []
    for (window, rows), part in zip(touched, torch.split(scores[: sum(values)], values), strict=True):
        out = part.view(classes, -1, width)
        compute = partial(write_rows, window.scores) if isinstance(window.scores, Tensor) else window.scores
        compute(crop, slice(rows.start - window.top, rows.stop - window.top), out)
        pieces.append(Piece(rows, window.left, out))
    return Filled(tile, pieces, scores, upsampled=False)
