"""One image in, one label map of its size out: the network slides over it in windows of the training crop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segrank import _torchvision  # noqa: F401
from segrank.errors import TrainingError
from segrank.evaluate.windows import merge, resized_size, split

# isort: split
# Torchvision comes after the line above, which lets every build of it be imported.
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tvf


class Segmenter(Protocol):
    """What evaluation asks of a network."""

    def logits(self, images: Tensor) -> Tensor:
        """Scores (b, classes, H, W), floating, of images (b, 3, H, W), uint8 RGB.

        They are upsampled to the images' size (bilinear, align_corners=False, no antialias).
        """
        ...


@torch.inference_mode()
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
    taken there.

    Args:
        segmenter: on `device`, in evaluation mode; each window goes through it once. An autocast around the
            call holds for it.
        image: (h, w, 3), RGB.
        crop: (height, width) of a window.
        device: where windows, their scores and the result are computed.
        window_batch: windows per forward pass. Beyond the network's own needs, memory is classes × 4 bytes ×
            the pixels of the resized image and of this many windows.

    Returns:
        (h, w) class indices.

    Raises:
        TrainingError: a score is not a number, or the best of a pixel is infinite.
    """
    height, width = image.shape[:2]
    pixels = torch.from_numpy(np.require(image, np.uint8, ["C", "W"])).permute(2, 0, 1)
    size = resized_size((height, width), crop)
    pixels = tvf.resize(pixels, list(size), interpolation=InterpolationMode.BILINEAR, antialias=True)
    parts = split(pixels, crop)

    def scores() -> Iterator[Tensor]:
        for start in range(0, len(parts), window_batch):
            batch = torch.stack(parts[start : start + window_batch]).to(device)
            yield from segmenter.logits(batch).float()

    return upsampled_argmax(merge(scores(), size, crop), (height, width)).cpu().numpy()


def upsampled_argmax(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """The best class (height, width), uint8, of scores (classes, h, w) resized to (height, width) `size`.

    It equals `interpolate(scores[None], size, mode="bilinear")[0].argmax(0)`, but holds one class at a time
    at the full size: 150 classes of a 12-megapixel photograph would need 7 GiB. Of equal scores the first
    class wins.

    Raises:
        TrainingError: a score is not a number, or the best of a pixel is infinite.
    """
    assert len(scores) <= 255, "255 means ignored in a label map"
    best = scores.new_full(size, -torch.inf)
    labels = torch.zeros(size, dtype=torch.uint8, device=scores.device)
    for index, plane in enumerate(scores):
        resized = F.interpolate(plane[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
        labels.masked_fill_(resized > best, index)
        torch.maximum(best, resized, out=best)  # hands on what is not a number
    if not torch.isfinite(best).all():
        raise TrainingError(
            "the network's scores are not finite",
            wanted="finite scores for every pixel",
            fix="look at the run's loss; in fp16, evaluate in fp32",
        )
    return labels
