"""Rows of an upsampled map against torch's own upsampling of all of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segrank.bilinear import blended, taps, write_rows

CPU = torch.device("cpu")
FUSED = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
"""Whether torch's loops round as ours do."""
SIZES = [
    ((32, 32), (512, 512)),
    ((37, 37), (518, 518)),
    ((14, 21), (224, 336)),
    ((512, 683), (300, 500)),
    ((512, 683), (640, 853)),
    ((64, 96), (64, 96)),
    ((13, 17), (101, 207)),
    ((1, 2), (97, 101)),
    ((500, 3), (7, 301)),
]


def assert_equal(ours: Tensor, torchs: Tensor) -> None:
    tolerance = 0 if FUSED else 1e-6
    torch.testing.assert_close(ours, torchs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("grid", "size"), SIZES)
def test_rows_are_those_of_the_whole_to_the_last_bit(grid: tuple[int, int], size: tuple[int, int]) -> None:
    x = torch.randn(5, *grid, generator=torch.Generator().manual_seed(0)) * 3
    whole = F.interpolate(x[None], size, mode="bilinear", align_corners=False)[0]
    for start, stop in ((0, size[0]), (0, 1), (size[0] // 3, size[0] // 2), (size[0] - 1, size[0])):
        out = torch.full((5, stop - start, size[1]), torch.nan)
        write_rows(x, size, slice(start, stop), out)
        assert_equal(out, whole[:, start:stop])


@pytest.mark.parametrize(("grid", "size"), SIZES)
def test_taps_say_where_torch_looks(grid: tuple[int, int], size: tuple[int, int]) -> None:
    for samples, pixels in zip(grid, size, strict=True):
        before, after, of_before, of_after = taps(samples, pixels, CPU)
        assert ((after == before + 1) | (after == samples - 1)).all()
        assert (of_before >= 0).all()
        assert (of_after >= 0).all()
        # the formula that torch documents, in float64
        position = ((torch.arange(pixels) + 0.5).double() * samples / pixels - 0.5).clamp(0, samples - 1)
        torch.testing.assert_close(before * of_before.double() + after * of_after, position, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(of_before + of_after, torch.ones(pixels))


@pytest.mark.parametrize(("grid", "size"), [((1, 1), (97, 101)), ((2, 1), (100, 200)), ((16, 16), (64, 64))])
def test_where_torch_blends_in_another_order_the_last_bits_may_differ(
    grid: tuple[int, int], size: tuple[int, int]
) -> None:
    x = torch.randn(5, *grid, generator=torch.Generator().manual_seed(5))
    out = torch.empty(5, *size)
    write_rows(x, size, slice(0, size[0]), out)
    torch.testing.assert_close(out, F.interpolate(x[None], size, mode="bilinear")[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_upsampled_in_float32(dtype: torch.dtype) -> None:
    x = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(1)).to(dtype)
    out = torch.empty(4, 30, 160)
    write_rows(x, (160, 160), slice(20, 50), out)
    whole = F.interpolate(x[None].float(), (160, 160), mode="bilinear", align_corners=False)[0]
    assert_equal(out, whole[:, 20:50])


def test_a_view_is_upsampled_like_a_copy() -> None:
    x = torch.randn(40, 20, 4, generator=torch.Generator().manual_seed(2)).permute(2, 0, 1)[:, ::2]
    one, other = torch.empty(4, 50, 160), torch.empty(4, 50, 160)
    write_rows(x, (160, 160), slice(0, 50), one)
    write_rows(x.contiguous(), (160, 160), slice(0, 50), other)
    assert torch.equal(one, other)


def test_torch_alone_comes_to_the_same() -> None:
    x = torch.randn(5, 32, 48, generator=torch.Generator().manual_seed(3))
    wide = blended(x, taps(48, 333, CPU), 2)
    tall = blended(wide, taps(32, 256, CPU).part(slice(10, 99)), 1)
    whole = F.interpolate(x[None], (256, 333), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(tall, whole[:, 10:99], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads: int) -> None:
    x = torch.randn(4, 12, 12, generator=torch.Generator().manual_seed(4))
    one, many = torch.empty(4, 144, 144), torch.empty(4, 144, 144)
    before = torch.get_num_threads()
    write_rows(x, (144, 144), slice(0, 144), one)
    try:
        torch.set_num_threads(threads)
        write_rows(x, (144, 144), slice(0, 144), many)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one, many)
