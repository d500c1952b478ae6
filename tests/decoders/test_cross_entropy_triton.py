"""The GPU's kernels: on a GPU, or by Triton's interpreter where Triton is installed and there is none."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch
from plain_loss import batch, plain_losses, with_gradient

from segrank.decoders import cross_entropy_tiles
from segrank.decoders import upsampled_cross_entropy as module
from segrank.decoders.upsampled_cross_entropy import upsampled_cross_entropy

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton comes with torch for GPUs; `pip install triton` is enough here", allow_module_level=True)

GPU = torch.cuda.is_available()
if not GPU:
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported

SHAPES = [
    (19, (2, 3), (32, 48)),
    (3, (3, 2), (21, 70)),
    (35, (2, 1), (5, 9)),
    (1, (1, 2), (4, 5)),
    (5, (9, 7), (4, 5)),
    (4, (1, 1), (6, 40)),
]


choose_way = module._way.__wrapped__  # each time anew


@pytest.fixture(autouse=True)
def only_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    from segrank.decoders import cross_entropy_triton

    monkeypatch.setattr(module, "_way", lambda device: cross_entropy_triton.sum_losses)


# the interpreter computes lanes that are masked out afterwards
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize(("classes", "grid", "size"), SHAPES)
@pytest.mark.parametrize("spread", [3, 1e4])
def test_losses_and_gradients_equal_torchs(
    classes: int, grid: tuple[int, int], size: tuple[int, int], spread: float
) -> None:
    logits, labels = batch(classes, grid, size, spread=spread)
    device = "cuda" if GPU else "cpu"
    losses, gradient = with_gradient(upsampled_cross_entropy, logits.to(device), labels.to(device))
    expected, expected_gradient = with_gradient(plain_losses, logits, labels)
    torch.testing.assert_close(losses.cpu(), expected, rtol=1e-12, atol=1e-12 * spread)
    torch.testing.assert_close(gradient.cpu(), expected_gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(GPU, reason="Triton starts kernels here")
def test_where_triton_starts_no_kernel_torch_alone_computes_the_loss() -> None:
    with pytest.warns(UserWarning, match="Triton cannot start kernels here"):
        assert choose_way("cuda") is cross_entropy_tiles.sum_losses


def test_a_logit_that_is_no_number_shows_in_the_loss() -> None:
    logits, labels = batch(5, (3, 4), (24, 32))
    logits[0, 2, 1, 1] = torch.nan
    device = "cuda" if GPU else "cpu"
    assert upsampled_cross_entropy(logits.to(device), labels.to(device)).isnan().tolist() == [True, False]


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="there is no CUDA device here")
@pytest.mark.parametrize("classes", [1, 19, 150])
def test_float32_on_a_gpu_is_exact_enough_and_the_same_each_time(classes: int) -> None:
    logits, labels = (tensor.cuda() for tensor in batch(classes, (32, 32), (512, 512)))
    losses, gradient = with_gradient(upsampled_cross_entropy, logits.float(), labels)
    expected, expected_gradient = with_gradient(plain_losses, logits, labels)
    torch.testing.assert_close(losses.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-4, atol=1e-8)
    assert torch.equal(with_gradient(upsampled_cross_entropy, logits.float(), labels)[1], gradient)
