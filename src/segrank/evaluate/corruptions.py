"""Images spoilt on purpose, to see how much of a score is left: after ImageNet-C.

Hendrycks & Dietterich, ICLR 2019 (arXiv 1903.12261). Of its fifteen corruptions and its further ones, eight are here:
those that move nothing against the labels (elastic, zoom and glass do) and need no pictures of frost or snow. Amounts
are its own wherever a corruption is the same. Lengths in pixels were meant for images of 224 pixels, and are used
unchanged up to 512, as Michaelis et al. (arXiv 1907.07484) use them for COCO; they grow with the shorter side of images
larger than that, of which the network sees less detail.

What is random is a function of the corruption and the image's name: every network sees the same, in every run, and a
severer Gaussian noise is the same noise, more of it.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from segrank.data.dataset import Sample, Split
from segrank.errors import SpecError

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

AMOUNTS: dict[str, tuple[float, ...]] = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),  # standard deviation; white is 1
    "shot_noise": (60, 25, 12, 5, 3),  # photons that make white
    "gaussian_blur": (1, 2, 3, 4, 6),  # standard deviation in pixels
    "motion_blur": (7, 11, 17, 24, 30),  # length in pixels, with the standard deviation of ImageNet-C's half Gaussians
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),  # added to HSV's value; white is 1
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),  # what is left of the difference from the mean colour
    "jpeg": (25, 18, 15, 10, 7),  # quality
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),  # one over the side of a block in pixels
}
"""Of each kind, by severity from 1 to 5."""
KINDS = tuple(AMOUNTS)
SEVERITIES = (1, 3, 5)
"""Unless others are asked for: the two between them tell little more, and take as long."""
SCALED_FROM_PX = 512
_STRIP = 64
"""Rows that are worked on at once, so that an image is never held in floating point as a whole."""


class Corruption(NamedTuple):
    kind: str
    severity: int
    """1 to 5."""

    @property
    def amount(self) -> float:
        return AMOUNTS[self.kind][self.severity - 1]


def corruptions(kinds: Collection[str] = KINDS, severities: Collection[int] = SEVERITIES) -> list[Corruption]:
    """Every kind at every severity.

    Raises:
        SpecError: there is no such kind or severity.
    """
    if strange := [kind for kind in kinds if kind not in AMOUNTS]:
        raise SpecError(f'there is no corruption "{strange[0][:40]}"', wanted=f"some of {', '.join(KINDS)}")
    if out := [severity for severity in severities if not 1 <= severity <= 5]:
        raise SpecError(f"severity {out[0]}", wanted="1 (mild) to 5 (severe)")
    return [Corruption(kind, severity) for kind in dict.fromkeys(kinds) for severity in sorted(set(severities))]


class CorruptedSplit:
    """A split whose images are spoilt as they are read; labels stay."""

    def __init__(self, split: Split, corruption: Corruption) -> None:
        self.split, self.corruption = split, corruption

    @property
    def names(self) -> Sequence[str]:
        return self.split.names

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Sample:
        sample = self.split[index]
        return sample._replace(image=corrupt(sample.image, self.corruption, sample.name))

    def digest(self) -> str:
        """Of the files, which are the same."""
        return self.split.digest()


def corrupt(image: Pixels, corruption: Corruption, name: str) -> Pixels:
    """A spoilt copy of an image (h, w, 3). Equal names give equal copies."""
    seed = hashlib.sha256(f"{corruption.kind}\0{name}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(seed, np.uint32))
    scale = max(1.0, min(image.shape[:2]) / SCALED_FROM_PX)
    return _WAYS[corruption.kind](image, corruption.amount, scale, rng)


def _gaussian_noise(image: Pixels, amount: float, scale: float, rng: np.random.Generator) -> Pixels:
    deviation = np.float32(amount)
    return _in_strips(image, lambda x: x + deviation * rng.standard_normal(x.shape, np.float32))


def _shot_noise(image: Pixels, amount: float, scale: float, rng: np.random.Generator) -> Pixels:
    return _in_strips(image, lambda x: rng.poisson(x * amount).astype(np.float32) / np.float32(amount))


def _gaussian_blur(image: Pixels, amount: float, scale: float, rng: np.random.Generator) -> Pixels:
    """By Pillow: three box blurs, whose sum of variances is the Gaussian's."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(amount * scale)))


def _motion_blur(image: Pixels, amount: float, scale: float, rng: np.random.Generator) -> Pixels:
    """The mean along a line, up to 45 degrees from level. It is centred, so that nothing moves against the labels."""
    length, angle = amount * scale, math.radians(rng.uniform(-45, 45))
    along = np.linspace(-length / 2, length / 2, math.ceil(length) | 1)
    down, right = (np.rint(along * part).astype(int) for part in (math.sin(angle), math.cos(angle)))
    height, width = image.shape[:2]
    reach = int(max(np.abs(down).max(), np.abs(right).max()))
    framed = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total = np.zeros(image.shape, np.uint32)
    for dy, dx in zip(reach + down, reach + right, strict=True):
        total += framed[dy : dy + height, dx : dx + width]
    return ((total + len(along) // 2) // len(along)).astype(np.uint8)


def _brightness(image: Pixels, amount: float, scale: float, rng: np.random.Generator) -> Pixels:
    """Hue and saturation stay: all channels grow by what the largest one does. Black becomes grey."""

    def brighten(x: Floats) -> Floats:
        value = x.max(axis=2, keepdims=True)
        brighter = np.minimum(value + np.float32(amount), 1)
        grown: Floats = np.where(value > 0, x * (brighter / np.maximum(value, np.float32(1e-6))), brighter)
        return grown

    return _in_strips(image, brighten)


def _contrast(image: Pixels, amount: float, scale: float, rng: np.random.Generator) -> Pixels:
    mean = (image.mean(axis=(0, 1)) / 255).astype(np.float32)
    return _in_strips(image, lambda x: (x - mean) * np.float32(amount) + mean)


def _jpeg(image: Pixels, amount: float, scale: float, rng: np.random.Generator) -> Pixels:
    """Blocks of 8x8 pixels whatever the image's size, as cameras and sites write them."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=int(amount))
    with Image.open(content) as read:
        return np.asarray(read.convert("RGB"))


def _pixelate(image: Pixels, amount: float, scale: float, rng: np.random.Generator) -> Pixels:
    picture = Image.fromarray(image)
    width, height = (max(1, round(side * amount / scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small.resize(picture.size, Image.Resampling.NEAREST))


_WAYS: dict[str, Callable[[Pixels, float, float, np.random.Generator], Pixels]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "gaussian_blur": _gaussian_blur,
    "motion_blur": _motion_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "jpeg": _jpeg,
    "pixelate": _pixelate,
}


def _in_strips(image: Pixels, change: Callable[[Floats], Floats]) -> Pixels:
    """Some rows after others go from bytes to 0..1 and back, rounded."""
    out = np.empty_like(image)
    for top in range(0, len(image), _STRIP):
        rows = slice(top, top + _STRIP)
        out[rows] = np.rint(change((image[rows] / 255).astype(np.float32)).clip(0, 1) * 255)
    return out
