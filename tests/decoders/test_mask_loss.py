"""The loss of masks against transformers', and against its definition in float64; both ways to compute it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from plain_mask_loss import CANDIDATES, FRESH, MATCHED, batch, given, plain_losses, some_points, with_gradients
from torch import Tensor

from segrank import _torchvision  # noqa: F401
from segrank.decoders.mask_loss import NUMBA, TORCH, Way, compare, mask_loss
from segrank.decoders.mask_output import MaskOutput
from segrank.decoders.mask_targets import Ignored
from segrank.errors import DataError

# isort: split
# Transformers brings torchvision in, which comes after the line above.
from transformers import Mask2FormerConfig
from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

WAYS = {"numba": NUMBA, "torch": TORCH}
IGNORED: list[Ignored] = ["excluded", "negative"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = WAYS[request.param]
    return chosen


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def assert_equal(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    """Losses to 1e-5 of them, gradients to 1e-5 of their largest value."""
    torch.testing.assert_close(found[0].double(), expected[0].double(), rtol=1e-5, atol=0)
    for part, right in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(part.double(), right.double(), rtol=0, atol=1e-5 * float(right.abs().max()))


def classes_of(labels: Tensor) -> list[int]:
    return [c for c in range(255) if (labels == c).any()]


def reference_loss(output: MaskOutput, labels: Tensor, row: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """transformers' loss of a single image, which is given the row's points when it draws."""
    classes = output.classes.shape[-1] - 1
    layers = output.classes.shape[0]
    present = torch.tensor(classes_of(labels))
    of_pairs = row[MATCHED:].view(-1, CANDIDATES + FRESH, 2)
    pairs = min(output.classes.shape[2], len(present))
    draws = []
    for layer in [layers - 1, *range(layers - 1)]:  # the reference has the last one first
        own = of_pairs[layer * pairs : (layer + 1) * pairs]
        draws += [row[None, :MATCHED], own[:, :CANDIDATES], own[:, CANDIDATES:]]
    left = iter(draws)

    def rand(*shape: int, device: torch.device) -> Tensor:
        points = next(left)
        assert points.shape == shape
        return points.contiguous()

    criterion = Mask2FormerLoss(Mask2FormerConfig(num_labels=classes), {})  # type: ignore[call-arg]
    of_layers = [
        {"masks_queries_logits": masks, "class_queries_logits": logits} for logits, masks in zip(*output, strict=True)
    ]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", rand)
        losses = criterion(
            **of_layers[-1],
            mask_labels=[(labels[0] == present[:, None, None]).float()],
            class_labels=[present],
            auxiliary_predictions=of_layers[:-1],
        )
    assert next(left, None) is None
    return sum((2 if "cross" in name else 5) * loss for name, loss in losses.items())[None]  # type: ignore[no-any-return]


@pytest.mark.parametrize("ignored", IGNORED)
@pytest.mark.parametrize(("classes", "queries"), [(7, 9), (9, 4), (1, 3)])
def test_losses_and_gradients_equal_transformers(
    way: Way, ignored: Ignored, classes: int, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, labels = batch(classes, queries, layers=3)
    output, labels = MaskOutput(output.classes[:, :1], output.masks[:, :1]), labels[:1]
    if ignored == "negative":
        labels[:, 3:17, 20:] = 255
    row = some_points(1, 3 * min(queries, len(classes_of(labels))))
    found = with_gradients(lambda o, y: compare(o, y, ignored, way, given(row)), output, labels)
    expected = with_gradients(lambda o, y: reference_loss(o, y, row, monkeypatch), output, labels)
    assert_equal(found, expected)


def speckled(labels: Tensor) -> None:
    generator = torch.Generator().manual_seed(5)
    labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
    labels[1, 9:30] = 255


def mostly(labels: Tensor) -> None:
    labels[0, :, 10:] = 255
    labels[1, 3:] = 255


def at_the_border(labels: Tensor) -> None:
    labels[:, :, :1] = labels[:, -1:] = 255


def one_image(labels: Tensor) -> None:
    labels[0] = 255


def nothing(labels: Tensor) -> None:
    """No pixel."""


@pytest.mark.parametrize("ignored", IGNORED)
@pytest.mark.parametrize("ignore", [speckled, mostly, at_the_border, one_image, nothing])
def test_losses_and_gradients_equal_their_definition(way: Way, ignored: Ignored, ignore: object) -> None:
    output, labels = batch(5, 6)
    ignore(labels)  # type: ignore[operator]
    row = some_points(2, 4 * 5)
    found = with_gradients(lambda o, y: compare(o, y, ignored, way, given(row)), output, labels)
    expected = with_gradients(lambda o, y: plain_losses(o, y, ignored, row), output, labels)
    assert found[0].dtype == torch.float32
    assert_equal(found, expected)


@pytest.mark.parametrize(("grid", "size"), [((1, 1), (9, 9)), ((6, 1), (3, 50)), ((1, 9), (1, 1)), ((9, 8), (4, 5))])
def test_any_size(way: Way, grid: tuple[int, int], size: tuple[int, int]) -> None:
    output, labels = batch(4, 5, grid=grid, size=size)
    row = some_points(2, 16)
    found = with_gradients(lambda o, y: compare(o, y, "excluded", way, given(row)), output, labels)
    assert_equal(found, with_gradients(lambda o, y: plain_losses(o, y, "excluded", row), output, labels))


def test_by_hand(way: Way) -> None:
    """Two queries without an opinion; every point lies half on the pixel of class 1, half on an ignored one."""
    labels = torch.tensor([[[0, 1, 255, 255]]], dtype=torch.uint8)
    output = MaskOutput(torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 2, 1, 2))
    row = torch.full((MATCHED + 2 * (CANDIDATES + FRESH), 2), 0.5)
    # 12,544 points that count half and have the probability 0.5; half of a pixel is all of what counts of it
    dice_of_0, dice_of_1 = 1 - 1 / (3136 + 1), 1 - (2 * 3136 + 1) / (3136 + 6272 + 1)
    expected = 2 * math.log(3) + 5 * (2 * math.log(2) + dice_of_0 + dice_of_1) / 2
    assert compare(output, labels, "excluded", way, given(row)).item() == pytest.approx(expected, rel=1e-6)


def test_what_lies_under_ignored_pixels_does_not_matter(way: Way) -> None:
    output, labels = batch(5, 6, grid=(5, 8), size=(40, 64))
    labels[..., 32:] = 255
    row = some_points(2, 20)

    def losses(output: MaskOutput, labels: Tensor) -> Tensor:
        return compare(output, labels, "excluded", way, given(row))

    found = with_gradients(losses, output, labels)
    assert (found[2][..., 5:] == 0).all()
    output.masks[..., 5:] = 9  # the fifth column's centre is pixel 36's left edge: no counted pixel lies beyond it
    for part, before in zip(with_gradients(losses, output, labels), found, strict=True):
        assert torch.equal(part, before)


def test_images_are_scored_one_by_one(way: Way) -> None:
    output, labels = batch(5, 6, layers=2)
    masks = [len(classes_of(image)) for image in labels]
    row = some_points(2, 2 * sum(masks))
    together = compare(output, labels, "excluded", way, given(row))
    shared, own = row[: 2 * MATCHED], row[2 * MATCHED :]
    of_pairs = torch.split(own.view(-1, CANDIDATES + FRESH, 2), masks * 2)  # of both images, layer by layer
    for i in (0, 1):
        alone = torch.cat([shared[i * MATCHED :][:MATCHED], *(part.flatten(0, 1) for part in of_pairs[i::2])])
        part = MaskOutput(output.classes[:, i : i + 1], output.masks[:, i : i + 1])
        torch.testing.assert_close(
            compare(part, labels[i : i + 1], "excluded", way, given(alone)), together[i : i + 1], rtol=1e-6, atol=0
        )


@pytest.mark.parametrize("way_of", WAYS)
def test_an_image_without_labels(way_of: str) -> None:
    output, labels = batch(5, 6)
    labels[:] = 255
    points = given(some_points(2, 0))
    excluded = with_gradients(lambda o, y: compare(o, y, "excluded", WAYS[way_of], points), output, labels)
    assert all((part == 0).all() for part in excluded)
    losses, of_classes, of_masks = with_gradients(
        lambda o, y: compare(o, y, "negative", WAYS[way_of], points), output, labels
    )
    no_object = -output.classes.log_softmax(-1)[..., -1]
    torch.testing.assert_close(losses, 2 * no_object.mean(2).sum(0))
    assert (of_classes != 0).all()
    assert (of_masks == 0).all()


def test_254_classes(way: Way) -> None:
    output, labels = batch(254, 3)
    labels[:, :8] = 253
    row = some_points(2, 12)
    found = with_gradients(lambda o, y: compare(o, y, "excluded", way, given(row)), output, labels)
    assert_equal(found, with_gradients(lambda o, y: plain_losses(o, y, "excluded", row), output, labels))


@pytest.mark.parametrize("value", [5, 254])
def test_a_label_that_is_no_class_is_refused(value: int) -> None:
    output, labels = batch(5, 6)
    labels[1, -1, -1] = value
    with pytest.raises(DataError, match=f"the value {value} under 5 classes"):
        mask_loss(output, labels)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(way: Way, dtype: torch.dtype) -> None:
    output, labels = batch(5, 6)
    halves = MaskOutput(*(part.to(dtype) for part in output))
    row = some_points(2, 20)

    def losses(output: MaskOutput, labels: Tensor) -> Tensor:
        return compare(output, labels, "excluded", way, given(row))

    with torch.autocast("cpu", torch.bfloat16):
        found = with_gradients(losses, halves, labels)
    expected = with_gradients(losses, MaskOutput(*(part.float() for part in halves)), labels)
    assert torch.equal(found[0], expected[0])
    for part, right in zip(found[1:], expected[1:], strict=True):
        assert torch.equal(part, right.to(dtype))


def test_a_logit_that_is_no_number_shows_in_the_loss_of_its_image(way: Way) -> None:
    output, labels = batch(5, 6)
    output.masks[0, 0] = torch.nan
    losses = compare(output, labels, "excluded", way, given(some_points(2, 20)))
    assert losses.isnan().tolist() == [True, False]


def test_strides_do_not_matter(way: Way) -> None:
    output, labels = batch(5, 6)
    points = given(some_points(2, 20))
    strided = MaskOutput(output.classes.mT.contiguous().mT, output.masks.mT.contiguous().mT)
    assert torch.equal(
        compare(strided, labels.mT.contiguous().mT, "excluded", way, points),
        compare(output, labels, "excluded", way, points),
    )


@pytest.mark.usefixtures("two_threads")
def test_threads_change_nothing() -> None:
    output, labels = batch(5, 6, layers=3)
    found = []
    for threads in (2, 1):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        found.append(with_gradients(mask_loss, output, labels))
    for several, one in zip(*found, strict=True):
        assert torch.equal(several, one)


def test_the_generator_decides_on_the_points() -> None:
    output, labels = batch(5, 6)
    torch.manual_seed(0)
    first, other = mask_loss(output, labels), mask_loss(output, labels)
    torch.manual_seed(0)
    assert torch.equal(mask_loss(output, labels), first)
    assert (other != first).all()


def test_without_a_gradient_the_loss_is_the_same(way: Way) -> None:
    output, labels = batch(5, 6)
    output.masks.requires_grad_()
    points = given(some_points(2, 20))
    losses = compare(output, labels, "excluded", way, points)
    with torch.inference_mode():
        assert torch.equal(compare(output, labels, "excluded", way, points), losses)
    assert losses.requires_grad


def test_on_the_meta_device_all_of_the_output_takes_part() -> None:
    output, labels = batch(5, 6)
    shapes = MaskOutput(*(part.to("meta").requires_grad_() for part in output))
    losses = mask_loss(shapes, labels.to("meta"))
    assert losses.shape == (2,)
    gradients = torch.autograd.grad(losses.sum(), shapes)
    assert [part.shape for part in gradients] == [part.shape for part in shapes]
