"""Labels made tile by tile against the plain way, which holds every score of the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from segrank.assemble import build_segmenter
from segrank.bilinear import Rows, write_rows
from segrank.encoders.small import ARCHITECTURES
from segrank.errors import TrainingError
from segrank.evaluate import labels_numba, labels_torch, sliding
from segrank.evaluate.sliding import predict
from segrank.evaluate.windows import resized_size, split, windows
from segrank.spec import RunSpec
from segrank.train.segmenter import Segmenter

# isort: split
# Torchvision comes after segrank, which lets every build of it be imported.
from torchvision.transforms.v2 import functional as tvf

CPU = torch.device("cpu")
FUSED = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
"""Whether torch's own resizing rounds as segrank's does; elsewhere the last bit of a score may differ."""

SIZES = [
    (512, 683),  # two windows, not resized
    (683, 512),
    (512, 512),  # one window
    (300, 500),  # smaller than the crop
    (1000, 1500),  # larger
    (512, 1024),  # no overlap
    (1024, 2048),
    (1025, 512),  # three windows below each other
    (701, 333),
    (97, 1203),  # thirteen windows
]
CROPS = [((512, 512), 16), ((518, 518), 14), ((256, 384), 8)]


class Grids:
    """Gives scores on the grid of its patches: not of what is seen, but random ones."""

    scores_are_logits = True

    def __init__(self, classes: int, patch: int, make: Callable[[Tensor], Tensor] = lambda grid: grid) -> None:
        self.classes, self.patch, self.make = classes, patch, make
        self.generator = torch.Generator().manual_seed(classes)
        self.grids: list[Tensor] = []

    def output(self, images: Tensor) -> Tensor:
        b, _, height, width = images.shape
        size = (b, self.classes, height // self.patch, width // self.patch)
        self.grids.extend(grids := self.make(torch.randn(size, generator=self.generator)))
        return grids

    def scores(self, output: Tensor, image: int) -> Tensor | Rows:
        return output[image]


class ComputesRows(Grids):
    """The same scores, but upsampled by itself."""

    def scores(self, output: Tensor, image: int) -> Rows:
        return partial(write_rows, output[image])


@pytest.fixture(params=[labels_numba, labels_torch], ids=["numba", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Both ways run on a CPU; which of them a device takes is decided in one place."""
    monkeypatch.setattr(sliding, "labels_numba", request.param)
    assert isinstance(request.param, ModuleType)
    return request.param


def upsampled(grid: Tensor, crop: tuple[int, int]) -> Tensor:
    """(classes h w) -> (classes H W)."""
    return F.interpolate(grid[None], crop, mode="bilinear", align_corners=False)[0]


def plain_scores(parts: Sequence[Tensor], own: tuple[int, int], crop: tuple[int, int]) -> Tensor:
    """(classes height width) of the image's `own` size, from each window's scores (classes h w) at the crop's size."""
    size = resized_size(own, crop)
    total, count = torch.zeros(len(parts[0]), *size), torch.zeros(size)
    for part, (top, left) in zip(parts, windows(size, crop), strict=True):
        total[:, top : top + crop[0], left : left + crop[1]] += part
        count[top : top + crop[0], left : left + crop[1]] += 1
    return F.interpolate((total / count)[None], own, mode="bilinear", align_corners=False)[0]


def blank(own: tuple[int, int]) -> NDArray[np.uint8]:
    return np.zeros((*own, 3), np.uint8)


def assert_same(labels: NDArray[np.uint8], scores: Tensor, *, exactly: bool) -> None:
    """Exactly the best class, or one whose score equals the best but for rounding."""
    found = torch.from_numpy(labels).long()
    assert found.shape == scores.shape[1:]
    if exactly:
        assert torch.equal(found, scores.argmax(0))
    best = scores.amax(0)
    assert ((best - scores.gather(0, found[None])[0]) <= 1e-6 * best.abs() + 1e-12).all()


@pytest.mark.parametrize("own", SIZES, ids=str)
@pytest.mark.parametrize(("crop", "patch"), CROPS, ids=str)
@pytest.mark.parametrize("kind", [Grids, ComputesRows])
def test_labels_are_those_of_the_plain_way(
    own: tuple[int, int], crop: tuple[int, int], patch: int, kind: type[Grids]
) -> None:
    network = kind(7, patch)
    labels = predict(network, blank(own), crop, device=CPU)
    scores = plain_scores([upsampled(grid, crop) for grid in network.grids], own, crop)
    assert_same(labels, scores, exactly=FUSED)


@pytest.mark.parametrize("own", [(300, 500), (500, 300), (1000, 700), (256, 256)], ids=str)
def test_torch_alone_labels_alike(own: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliding, "labels_numba", labels_torch)
    network = Grids(7, 16)
    labels = predict(network, blank(own), (256, 256), device=CPU)
    scores = plain_scores([upsampled(grid, (256, 256)) for grid in network.grids], own, (256, 256))
    assert_same(labels, scores, exactly=False)


@pytest.mark.parametrize("own", [(300, 500), (90, 61), (700, 256)], ids=str)
@pytest.mark.parametrize("tile_bytes", [1, 2**16, 2**30])
def test_tiles_of_any_height_give_the_same_labels(
    own: tuple[int, int], tile_bytes: int, way: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = predict(Grids(5, 16), blank(own), (128, 160), device=CPU)
    monkeypatch.setattr(way, "_TILE_BYTES", tile_bytes)
    assert (predict(Grids(5, 16), blank(own), (128, 160), device=CPU) == usual).all()


def test_many_classes_at_the_usual_size() -> None:
    network = Grids(150, 16)
    labels = predict(network, blank((512, 683)), (512, 512), device=CPU)
    scores = plain_scores([upsampled(grid, (512, 512)) for grid in network.grids], (512, 683), (512, 512))
    assert_same(labels, scores, exactly=FUSED)
    assert len(np.unique(labels)) == 150


@pytest.mark.parametrize("own", [(64, 64), (40, 61), (7, 5), (1, 1), (90, 1)], ids=str)
def test_tiny_images(own: tuple[int, int], way: ModuleType) -> None:
    """torch resizes what is this small in another order, so that the last bit may differ."""
    network = Grids(4, 8)
    labels = predict(network, blank(own), (32, 32), device=CPU)
    scores = plain_scores([upsampled(grid, (32, 32)) for grid in network.grids], own, (32, 32))
    assert_same(labels, scores, exactly=False)


@pytest.mark.parametrize("own", [(256, 384), (300, 500)], ids=str)
def test_of_equal_scores_the_first_class_wins(own: tuple[int, int], way: ModuleType) -> None:
    def level(grid: Tensor) -> Tensor:
        grid[:, 0] = -1
        grid[:, 1:] = 0.3
        return grid

    assert (predict(Grids(5, 16, level), blank(own), (256, 256), device=CPU) == 1).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (2, 15, 15), (1, 7, 3)])
def test_scores_that_are_not_finite_are_refused(value: float, place: tuple[int, ...], way: ModuleType) -> None:
    def spoil(grid: Tensor) -> Tensor:
        grid[(-1, *place)] = value
        return grid

    for own in ((256, 384), (300, 500)):
        with pytest.raises(TrainingError, match="not finite"):
            predict(Grids(3, 16, spoil), blank(own), (256, 256), device=CPU)


class Masks:
    """As a mask transformer scores: of each pixel, the sum over queries of p(class) × sigmoid(upsampled mask)."""

    classes, queries, scores_are_logits = 9, 6, False

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.seen: list[tuple[Tensor, Tensor]] = []

    def output(self, images: Tensor) -> tuple[Tensor, Tensor]:
        b, _, height, width = images.shape
        masks = torch.randn(b, self.queries, height // 16, width // 16, generator=self.generator)
        chances = torch.randn(b, self.queries, self.classes, generator=self.generator).softmax(2)
        self.seen.extend(zip(masks, chances, strict=True))
        return masks, chances

    def scores(self, output: tuple[Tensor, Tensor], image: int) -> Rows:
        masks, chances = output[0][image], output[1][image]

        def write(size: tuple[int, int], rows: slice, out: Tensor) -> None:
            assert not torch.is_autocast_enabled("cpu")
            part = torch.empty(self.queries, rows.stop - rows.start, size[1])
            write_rows(masks, size, rows, part)
            out.copy_(torch.einsum("qhw, qc -> chw", part.sigmoid(), chances))

        return write


@pytest.mark.parametrize("own", [(300, 500), (683, 512)], ids=str)
def test_scores_need_not_be_an_upsampled_grid(own: tuple[int, int]) -> None:
    network = Masks()
    with torch.autocast("cpu", torch.bfloat16):
        labels = predict(network, blank(own), (256, 256), device=CPU)
    parts = [
        torch.einsum("qhw, qc -> chw", upsampled(masks, (256, 256)).sigmoid(), chances)
        for masks, chances in network.seen
    ]
    assert_same(labels, plain_scores(parts, own, (256, 256)), exactly=False)


def plainly(segmenter: Segmenter, image: NDArray[np.uint8], crop: tuple[int, int]) -> Tensor:
    """Scores (classes height width): two windows at a time, then each step on all there is."""
    own = image.shape[0], image.shape[1]
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    resized = tvf.resize(pixels, list(resized_size(own, crop)), antialias=True)
    with torch.inference_mode():
        batches = torch.split(torch.stack(split(resized, crop)), 2)
        grids = [grid for batch in batches for grid in segmenter.decoder(segmenter.encoder(batch))]
    return plain_scores([upsampled(grid, crop) for grid in grids], own, crop)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_labels_as_in_the_plain_way(name: str) -> None:
    crop = (128, 192)
    spec = RunSpec(encoder=f"small:{name}", weights="random", dataset="scenes", crop=crop, patch_size=16, seed=1)
    segmenter = build_segmenter(spec, 11)[0].eval()
    image = np.random.default_rng(0).integers(0, 256, (150, 333, 3), dtype=np.uint8)
    assert_same(predict(segmenter, image, crop, device=CPU), plainly(segmenter, image, crop), exactly=FUSED)


@pytest.mark.shared
@pytest.mark.parametrize(("crop", "patch"), [((224, 224), 14), ((224, 224), 16)], ids=str)
def test_a_pretrained_network_labels_real_images_as_in_the_plain_way(
    shared: Path, crop: tuple[int, int], patch: int
) -> None:
    spec = RunSpec(
        encoder="timm:vit_small_patch14_dinov2",
        weights=str(shared / "weights" / "vit_small_patch14_dinov2_type.fp16.safetensors"),
        dataset="scenes",
        crop=crop,
        patch_size=patch,
    )
    segmenter = build_segmenter(spec, 11)[0].eval()
    for file in sorted((shared / "data" / "camvid" / "images").rglob("*.*g"))[:600:300]:
        image = np.array(Image.open(file).convert("RGB"))
        labels = predict(segmenter, image, crop, device=CPU)
        assert len(np.unique(labels)) > 1
        assert_same(labels, plainly(segmenter, image, crop), exactly=FUSED)


def test_autocast_holds_for_the_network_and_scores_are_blended_in_float32() -> None:
    class Watches(Grids):
        def output(self, images: Tensor) -> Tensor:
            assert torch.is_autocast_enabled("cpu")
            grids = super().output(images).bfloat16()
            self.grids[-len(grids) :] = grids.float()
            return grids

    network = Watches(5, 16)
    with torch.autocast("cpu", torch.bfloat16):
        labels = predict(network, blank((300, 500)), (256, 256), device=CPU)
    scores = plain_scores([upsampled(grid, (256, 256)) for grid in network.grids], (300, 500), (256, 256))
    assert_same(labels, scores, exactly=FUSED)
