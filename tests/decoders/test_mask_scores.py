"""Rows of scores against all of them at once, as torch computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segrank.bilinear import Rows, write_rows
from segrank.decoders import mask_scores as module
from segrank.decoders.mask_output import MaskOutput
from segrank.decoders.mask_scores import mask_scores
from segrank.evaluate.sliding import predict
from segrank.evaluate.windows import resized_size, split, windows

CPU = torch.device("cpu")


def output(
    classes: int, queries: int, grid: tuple[int, int], *, images: int = 2, layers: int = 1, spread: float = 4.0
) -> MaskOutput:
    generator = torch.Generator().manual_seed(0)
    logits = spread * torch.randn(layers, images, queries, classes + 1, generator=generator)
    return MaskOutput(logits, spread * torch.randn(layers, images, queries, *grid, generator=generator))


def plain(output: MaskOutput, image: int, size: tuple[int, int]) -> Tensor:
    """(classes H W): upsampled in float32, the rest in float64."""
    masks = F.interpolate(output.masks[-1, image][None].float(), size, mode="bilinear", align_corners=False)[0]
    probabilities = masks.double().sigmoid()
    of_classes = output.classes[-1, image].double().softmax(-1)[:, :-1]
    return torch.einsum("qc,qhw->chw", of_classes, probabilities)


def written(rows: Rows, classes: int, size: tuple[int, int], part: slice) -> Tensor:
    out = torch.full((classes, part.stop - part.start, size[1]), torch.nan)
    rows(size, part, out)
    return out


@pytest.mark.parametrize(
    ("classes", "queries", "grid", "size"),
    [
        (150, 100, (8, 8), (128, 128)),
        (19, 100, (4, 7), (64, 112)),
        (1, 1, (3, 3), (50, 70)),
        (7, 3, (1, 1), (20, 30)),
        (21, 9, (40, 30), (33, 21)),
        (4, 200, (5, 6), (83, 101)),
    ],
)
def test_rows_are_those_of_all_scores(classes: int, queries: int, grid: tuple[int, int], size: tuple[int, int]) -> None:
    out = output(classes, queries, grid)
    for image in (0, 1):
        expected = plain(out, image, size)
        for part in (slice(0, size[0]), slice(0, 1), slice(size[0] // 3, size[0] // 2), slice(size[0] - 1, size[0])):
            ours = written(mask_scores(out, image), classes, size, part)
            torch.testing.assert_close(ours.double(), expected[:, part], rtol=1e-5, atol=1e-7)


def test_only_the_last_layer_counts() -> None:
    out, part = output(5, 6, (4, 4), layers=3), slice(3, 20)
    last = MaskOutput(out.classes[-1:], out.masks[-1:])
    one, other = (written(mask_scores(o, 1), 5, (32, 48), part) for o in (out, last))
    assert torch.equal(one, other)


def test_rows_are_the_same_whichever_are_asked_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    size = (48, 96)
    rows = mask_scores(output(13, 20, (6, 12)), 0)
    together = written(rows, 13, size, slice(0, 48))
    for strip in (1, 4 * 20 * 96 * 7, 2**30):  # bytes: a row at a time, seven, all
        monkeypatch.setattr(module, "_STRIP_BYTES", strip)
        pieces = [written(rows, 13, size, slice(*ends)) for ends in ((0, 1), (1, 20), (20, 48))]
        torch.testing.assert_close(torch.cat(pieces, dim=1), together, rtol=1e-6, atol=1e-7)


def test_a_query_that_is_no_object_says_nothing() -> None:
    out = output(3, 2, (2, 2))
    out.classes[:, :, 1] = torch.tensor([0.0, 0.0, 0.0, 200.0])
    alone = MaskOutput(out.classes[:, :, :1], out.masks[:, :, :1])
    one, other = (written(mask_scores(o, 0), 3, (8, 140), slice(0, 8)) for o in (out, alone))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    out = MaskOutput(*(values.to(dtype) for values in output(21, 30, (6, 6))))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rows = mask_scores(out, 0)
    ours = written(rows, 21, (96, 96), slice(0, 96))
    torch.testing.assert_close(ours.double(), plain(out, 0, (96, 96)), rtol=1e-5, atol=1e-7)


def test_scores_need_no_gradient() -> None:
    out = MaskOutput(*(values.requires_grad_() for values in output(3, 4, (2, 2))))
    assert not written(mask_scores(out, 0), 3, (32, 32), slice(0, 9)).requires_grad


def test_few_rows_of_masks_are_there_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def watch(x: Tensor, size: tuple[int, int], rows: slice, out: Tensor) -> None:
        shapes.append(out.shape)
        write_rows(x, size, rows, out)

    monkeypatch.setattr(module, "write_rows", watch)
    written(mask_scores(output(2, 100, (8, 8)), 0), 2, (512, 512), slice(0, 512))
    assert sum(shape[1] for shape in shapes) == 512
    assert all(shape.numel() * 4 <= 2**23 for shape in shapes)


class Replayed:
    """A network that gives one window after the other what it was told to."""

    classes = 11
    scores_are_logits = False

    def __init__(self, out: MaskOutput) -> None:
        self.out, self.seen = out, 0

    def output(self, images: Tensor) -> MaskOutput:
        start = self.seen
        self.seen += len(images)
        return MaskOutput(*(values[:, start : self.seen] for values in self.out))

    def scores(self, output: Any, image: int) -> Rows:
        return mask_scores(output, image)


@pytest.mark.parametrize("own", [(64, 64), (64, 101), (50, 41), (200, 90)])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_label_map_is_that_of_averaged_scores(own: tuple[int, int], batch: int) -> None:
    crop = (64, 64)
    size = resized_size(own, crop)
    places = windows(size, crop)
    out = output(11, 15, (4, 4), images=len(places))
    total, count = torch.zeros(11, *size).double(), torch.zeros(size)
    for index, part in enumerate(split(count, crop)):
        part += 1
        split(total, crop)[index].add_(plain(out, index, crop))
    scores = F.interpolate((total / count)[None], own, mode="bilinear", align_corners=False)[0]
    image = np.zeros((*own, 3), np.uint8)
    labels = torch.from_numpy(predict(Replayed(out), image, crop, device=CPU, window_batch=batch)).long()
    # where two classes are level, rounding decides
    best, chosen = scores.amax(0), scores.gather(0, labels[None])[0]
    assert (best - chosen).max() < 1e-6
    assert (labels == scores.argmax(0)).float().mean() > 0.999
