"""A training sample beside the one that a user would compose, in one process and under the same draws.

    python benchmarks/samples.py

Files are generated: ADE20K-like JPEGs of 512x683 (about 55 kB) and Cityscapes-like PNGs of 2048x1024 (about 3 MB), with
masks. "Masks" is torchvision v2 on the whole image and one boolean mask for each class that is there; "map" is the
same with one label map. Both decode with Pillow. Takes about a minute.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from paired import Call, paired
from PIL import Image
from scipy import ndimage

from segrank import _torchvision  # noqa: F401
from segrank.data import IGNORE, Split, open_dataset
from segrank.data.augment import Draw, apply, coloured_region, draw, labelled_crop
from segrank.data.images import read_image, read_label
from segrank.data.labels import LabelMapping
from segrank.data.resample import resize, triangle_taps
from segrank.data.transcoded import Transcoded, transcode
from segrank.data.union import open_tree

# isort: split
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

Size = tuple[int, int]
GRAIN = 2.0
"""Levels; it makes files as large as real ones."""


class Setting(NamedTuple):
    name: str
    size: Size
    crop: Size
    classes: int
    suffix: str
    files: int
    draws: int
    """For each file."""


SETTINGS = (
    Setting("ADE20K-like, JPEG 512x683, crop 512", (512, 683), (512, 512), 150, "jpg", 4, 3),
    Setting("Cityscapes-like, PNG 1024x2048, crop 1024", (1024, 2048), (1024, 1024), 19, "png", 2, 2),
)


def photograph(rng: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """Noise whose spectrum falls with the frequency, as that of photographs does, and a grain."""
    grey = sum(
        ndimage.gaussian_filter(rng.standard_normal(size), 2.0**octave) * 4.0**octave for octave in range(6)
    )  # the filter divides by 2**octave: each octave is twice as strong as the one before
    tint = [ndimage.gaussian_filter(rng.standard_normal(size), 24) * 24 * 6 for _ in range(3)]
    levels = np.stack([grey + channel for channel in tint], axis=-1)
    levels = 128 + 55 * levels / levels.std() + GRAIN * rng.standard_normal(levels.shape)
    pixels: NDArray[np.uint8] = levels.clip(0, 255).astype(np.uint8)
    return pixels


def mask(rng: np.random.Generator, size: Size, classes: int) -> NDArray[np.uint8]:
    """About a dozen classes in patches with soft borders; ids from 0, which is not labelled."""
    fields = ndimage.gaussian_filter(rng.standard_normal((14, *size)).astype(np.float32), (0, 20, 20))
    ids = rng.choice(np.arange(1, classes + 1), 14, replace=False)
    ids[0] = 0
    chosen: NDArray[np.uint8] = ids.astype(np.uint8)[fields.argmax(0)]
    return chosen


def generate(root: Path, setting: Setting) -> Split:
    rng = np.random.default_rng(0)
    for number in range(setting.files):
        Image.fromarray(photograph(rng, setting.size)).save(root / f"image{number}.{setting.suffix}", quality=90)
        Image.fromarray(mask(rng, setting.size, setting.classes)).save(root / f"mask{number}.png")
    classes = ", ".join(f"c{number}" for number in range(setting.classes))
    ids = ", ".join(f"{number + 1}: c{number}" for number in range(setting.classes))
    (root / "set.yaml").write_text(
        f"name: generated\nclasses: [{classes}]\nids: {{{ids}}}\nignore: 0\n"
        f"splits:\n  train: {{images: image*.{setting.suffix}, masks: mask*.png}}\n"
    )
    return open_dataset(str(root / "set.yaml")).split("train")


class Place(NamedTuple):
    """Where one sample comes from, and what becomes of it."""

    image: Path
    mask: Path
    drawn: Draw


def by_torchvision(pixels: Any, truth: Any, drawn: Draw, crop: Size, ignore: int) -> tuple[Any, Any]:
    """The protocol's order, with the draws given. `truth` is boolean masks, or one label map."""
    if drawn.brightness is not None:
        pixels = tvf.adjust_brightness(pixels, drawn.brightness)
    if drawn.contrast is not None and drawn.contrast_first:
        pixels = tvf.adjust_contrast(pixels, drawn.contrast)
    if drawn.saturation is not None:
        pixels = tvf.adjust_saturation(pixels, drawn.saturation)
    if drawn.hue is not None:
        pixels = tvf.adjust_hue(pixels, drawn.hue)
    if drawn.contrast is not None and not drawn.contrast_first:
        pixels = tvf.adjust_contrast(pixels, drawn.contrast)
    if drawn.flip:
        pixels, truth = tvf.hflip(pixels), tvf.hflip(truth)
    size = list(drawn.size)
    pixels = tvf.resize(pixels, size, antialias=True)
    truth = tvf.resize(truth, size, interpolation=InterpolationMode.NEAREST)
    padding = [0, 0, max(0, crop[1] - size[1]), max(0, crop[0] - size[0])]
    pixels, truth = tvf.pad(pixels, padding, fill=0), tvf.pad(truth, padding, fill=ignore)
    for top, left in drawn.offsets.tolist():
        window = tvf.crop(truth, top, left, *crop)
        if (window != ignore).any():
            return tvf.crop(pixels, top, left, *crop), window
    raise AssertionError("generated masks have labels everywhere")


def plain_image(place: Place) -> Any:
    return tv_tensors.Image(tvf.pil_to_tensor(Image.open(place.image).convert("RGB")))


def with_masks(place: Place, crop: Size) -> tuple[Any, Any]:
    ids = tvf.pil_to_tensor(Image.open(place.mask))[0]
    present = [value for value in ids.unique().tolist() if value]
    masks = tv_tensors.Mask(torch.stack([ids == value for value in present]))
    return by_torchvision(plain_image(place), masks, place.drawn, crop, ignore=0)


def with_map(place: Place, crop: Size) -> tuple[Any, Any]:
    ids = tvf.pil_to_tensor(Image.open(place.mask)).long()
    labels = torch.where(ids == 0, 255, ids - 1).to(torch.uint8)
    return by_torchvision(plain_image(place), tv_tensors.Mask(labels), place.drawn, crop, ignore=255)


def ours(split: Split, index: int, drawn: Draw, crop: Size) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    sample = split[index]
    result = apply(sample.image, sample.labels, drawn, crop)
    assert result is not None
    return result


def ours_kept(
    kept: Transcoded, mapping: LabelMapping, place: Place, crop: Size
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    image = kept.read(place.image.name, place.image.stat().st_size)
    assert image is not None
    labels, unknown = mapping.apply(read_label(place.mask))
    assert not unknown
    result = apply(image, labels, place.drawn, crop)
    assert result is not None
    return result


def mapping_of(setting: Setting) -> LabelMapping:
    return LabelMapping(((0, IGNORE), *((number + 1, number) for number in range(setting.classes))))


def check(setting: Setting, split: Split, places: Sequence[Place]) -> None:
    """Both ways give the same sample."""
    for number, place in enumerate(places):
        pixels, labels = ours(split, number // setting.draws, place.drawn, setting.crop)
        plain_pixels, plain_labels = with_map(place, setting.crop)
        assert (labels == plain_labels[0].numpy()).all()
        assert np.abs(pixels.astype(int) - plain_pixels.numpy()).max() <= 3


def stages(setting: Setting, places: Sequence[Place]) -> str:
    """Where our time goes: medians over the samples, in ms."""
    mapping = mapping_of(setting)
    spent: dict[str, list[float]] = {}

    def timed(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments)
        spent.setdefault(what, []).append(1e3 * (time.perf_counter() - started))
        return result

    for place in (*places, *places):
        image = timed("decode image", read_image, place.image)
        raw = timed("decode mask", read_label, place.mask)
        labels, _ = timed("map ids", mapping.apply, raw)
        rows, columns, _ = timed("crop labels", labelled_crop, labels, place.drawn, setting.crop)
        down = triangle_taps(setting.size[0], place.drawn.size[0], rows)
        across = triangle_taps(setting.size[1], place.drawn.size[1], columns, mirrored=place.drawn.flip)
        region = timed("colours", coloured_region, image, place.drawn, down.source, across.source)
        timed("resize", resize, region, down, across, np.zeros((3, *setting.crop), np.uint8))
    return ", ".join(f"{what} {statistics.median(times):.2f}" for what, times in spent.items())


def run(setting: Setting, root: Path) -> None:
    split = generate(root, setting)
    rng = np.random.default_rng(1)
    places = [
        Place(
            root / f"image{number}.{setting.suffix}", root / f"mask{number}.png", draw(rng, setting.size, setting.crop)
        )
        for number in range(setting.files)
        for _ in range(setting.draws)
    ]
    check(setting, split, places)

    def all_ours() -> None:
        for number, place in enumerate(places):
            ours(split, number // setting.draws, place.drawn, setting.crop)

    def all_plain(way: Callable[[Place, Size], object]) -> Call:
        return lambda: [way(place, setting.crop) for place in places]

    size = statistics.mean(place.image.stat().st_size for place in places)
    print(f"{setting.name}: files of {size / 1e3:.0f} kB, {len(places)} samples a call")
    print(paired("  masks", all_plain(with_masks), all_ours, rounds=5))
    print(paired("  map", all_plain(with_map), all_ours, rounds=5))
    if setting.suffix == "png":
        kept, mapping = Transcoded.of(root / "kept", split.digest()), mapping_of(setting)
        transcode(open_tree(root), [place.image.name for place in places], kept)

        def all_kept() -> None:
            for place in places:
                ours_kept(kept, mapping, place, setting.crop)

        print(paired("  masks; ours with images kept decoded", all_plain(with_masks), all_kept, rounds=5))
    print(f"  ours, ms a sample: {stages(setting, places)}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for one in SETTINGS:
        with tempfile.TemporaryDirectory() as folder:
            run(one, Path(folder))
