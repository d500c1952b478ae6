"""Losses and gradients in tiles against torch's own, of everything at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
import torch
from plain_loss import batch, plain_losses, with_gradient

from segrank.decoders import cross_entropy_numba, cross_entropy_tiles
from segrank.decoders import upsampled_cross_entropy as module
from segrank.decoders.upsampled_cross_entropy import Way, upsampled_cross_entropy
from segrank.errors import DataError

WAYS = {"numba": cross_entropy_numba.sum_losses, "tiles": cross_entropy_tiles.sum_losses}
SHAPES = {
    "by 16": (19, (3, 5), (48, 80)),
    "by 8": (19, (4, 6), (32, 48)),
    "by 14": (7, (3, 5), (42, 70)),
    "by 32": (5, (2, 3), (64, 96)),
    "by no integer": (9, (5, 7), (83, 101)),
    "by less than 2, one class": (1, (7, 9), (10, 13)),
    "not at all": (4, (5, 6), (5, 6)),
    "downsampled, 255 classes": (255, (30, 41), (11, 13)),
    "one down, one up": (6, (40, 2), (9, 90)),
    "one row": (21, (1, 7), (33, 50)),
    "one column": (21, (6, 1), (50, 33)),
    "one sample": (3, (1, 1), (40, 20)),
    "one pixel": (3, (4, 4), (1, 1)),
    "wider than a strip": (150, (2, 40), (5, 640)),
}


@pytest.fixture(params=WAYS, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Each test runs each way."""
    chosen: Way = WAYS[request.param]
    monkeypatch.setattr(module, "_way", lambda device: chosen)
    return chosen


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("shape", SHAPES)
# logits within a few units; up to hundreds apart from row to row; ten thousands
@pytest.mark.parametrize("spread", [3, 300, 1e4])
def test_losses_and_gradients_equal_torchs(shape: str, spread: float) -> None:
    logits, labels = batch(*SHAPES[shape], spread=spread)
    losses, gradient = with_gradient(upsampled_cross_entropy, logits, labels)
    expected, expected_gradient = with_gradient(plain_losses, logits, labels)
    torch.testing.assert_close(losses, expected, rtol=1e-12, atol=1e-12 * spread)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spread", [3, 30, 300])
def test_float32_is_as_near_to_float64_as_torchs(spread: float) -> None:
    logits, labels = batch(19, (4, 6), (64, 96), spread=spread)
    logits = logits.float()
    exact, exact_gradient = with_gradient(plain_losses, logits.double(), labels)
    _, plain_gradient = with_gradient(plain_losses, logits, labels)
    losses, gradient = with_gradient(upsampled_cross_entropy, logits, labels)
    assert losses.dtype == gradient.dtype == torch.float32
    torch.testing.assert_close(losses.double(), exact, rtol=1e-6, atol=0)
    assert (gradient - exact_gradient).abs().max() <= 2 * (plain_gradient - exact_gradient).abs().max()


def test_gradients_are_those_of_finite_differences() -> None:
    logits, labels = batch(4, (2, 3), (7, 8))
    assert torch.autograd.gradcheck(lambda x: upsampled_cross_entropy(x, labels), logits.requires_grad_())


def test_an_image_without_labels_has_no_loss_and_no_gradient() -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    labels[1] = 255
    losses, gradient = with_gradient(upsampled_cross_entropy, logits, labels)
    assert losses[0] > 0
    assert losses[1] == 0
    assert (gradient[1] == 0).all()


def test_another_label_may_be_ignored() -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    renamed = torch.where(labels == 255, 11, labels)
    assert torch.equal(upsampled_cross_entropy(logits, renamed, ignore=11), upsampled_cross_entropy(logits, labels))


@pytest.mark.parametrize("value", [5, 254])
def test_a_label_that_is_no_class_is_refused(value: int) -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    labels[1, -1, -1] = value
    with pytest.raises(DataError, match=f"the value {value} under 5 classes"):
        upsampled_cross_entropy(logits, labels)


def test_a_logit_that_is_no_number_shows_in_the_loss() -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    logits[0, 2, 1, 1] = torch.nan
    assert upsampled_cross_entropy(logits, labels).isnan().tolist() == [True, False]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_and_in_the_gradient_where_no_labelled_pixel_meets_it(value: float) -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    logits[0, 2, 0, 0] = value
    labels[0, :12, :12] = 255
    losses, gradient = with_gradient(upsampled_cross_entropy, logits, labels)
    assert losses.isfinite().all()
    assert gradient.isnan().any(dim=(1, 2, 3)).tolist() == [True, False]


def test_no_image_has_no_loss() -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    losses, gradient = with_gradient(upsampled_cross_entropy, logits[:0], labels[:0])
    assert losses.shape == (0,)
    assert gradient.shape == (0, 5, 3, 4)


def test_more_classes_than_a_byte_counts() -> None:
    logits, labels = batch(200, (3, 4), (24, 32))
    logits = torch.cat([logits, logits.flip(1)], dim=1)
    losses, gradient = with_gradient(upsampled_cross_entropy, logits, labels)
    expected, expected_gradient = with_gradient(plain_losses, logits, labels)
    torch.testing.assert_close(losses, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-12)


def test_half_precision_is_computed_in_float32() -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    halves = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        losses, gradient = with_gradient(upsampled_cross_entropy, halves, labels)
    expected, expected_gradient = with_gradient(upsampled_cross_entropy, halves.float(), labels)
    assert torch.equal(losses, expected)
    assert torch.equal(gradient, expected_gradient.bfloat16())


def test_strides_do_not_matter() -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    expected = with_gradient(upsampled_cross_entropy, logits, labels)
    strided = logits.to(memory_format=torch.channels_last), labels.mT.contiguous().mT
    for found, value in zip(with_gradient(upsampled_cross_entropy, *strided), expected, strict=True):
        assert torch.equal(found, value)


@pytest.mark.usefixtures("two_threads")
def test_threads_change_nothing() -> None:
    logits, labels = batch(19, (5, 4), (80, 64))
    several = with_gradient(upsampled_cross_entropy, logits, labels)
    torch.set_num_threads(1)
    for found, value in zip(with_gradient(upsampled_cross_entropy, logits, labels), several, strict=True):
        assert torch.equal(found, value)


def test_without_a_gradient_the_loss_is_the_same() -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    losses = upsampled_cross_entropy(logits.requires_grad_(), labels)
    with torch.inference_mode():
        assert torch.equal(upsampled_cross_entropy(logits, labels), losses)
    assert losses.requires_grad


def test_the_upsampled_logits_are_never_there_as_a_whole(way: Way) -> None:
    if way is not cross_entropy_numba.sum_losses:
        pytest.skip("the memory of torch's tensors is not traced on a CPU")
    logits, labels = batch(150, (16, 16), (256, 256), images=1)
    with_gradient(upsampled_cross_entropy, logits, labels)
    tracemalloc.start()  # numpy reports what it allocates
    with_gradient(upsampled_cross_entropy, logits, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert logits.nbytes <= peak < 256 * 256 * 150 * 8 / 20
