from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segrank.evaluate.windows import Limits, resized_size, split, tiles, windows

sides = st.integers(1, 3000)
crops = st.tuples(st.integers(1, 600), st.integers(1, 600))


@pytest.mark.parametrize(
    ("size", "crop", "wanted"),
    [
        ((512, 683), (512, 512), [(0, 0), (0, 171)]),
        ((683, 512), (512, 512), [(0, 0), (171, 0)]),
        ((1024, 2048), (1024, 1024), [(0, 0), (0, 1024)]),
        ((512, 512), (512, 512), [(0, 0)]),
        ((512, 1025), (512, 512), [(0, 0), (0, 256), (0, 513)]),
        ((256, 512), (256, 512), [(0, 0)]),
    ],
)
def test_windows_of_the_protocol(size: tuple[int, int], crop: tuple[int, int], wanted: list[tuple[int, int]]) -> None:
    assert windows(size, crop) == wanted


@pytest.mark.parametrize(
    ("size", "crop", "wanted"),
    [
        ((480, 640), (512, 512), (512, 683)),
        ((640, 480), (512, 512), (683, 512)),
        ((1024, 2048), (1024, 1024), (1024, 2048)),
        ((1052, 1914), (1024, 1024), (1024, 1863)),
        ((300, 300), (256, 512), (512, 512)),
        ((100, 400), (256, 512), (256, 1024)),
        ((1, 1), (32, 32), (32, 32)),
    ],
)
def test_resized_sizes(size: tuple[int, int], crop: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert resized_size(size, crop) == wanted


@settings(deadline=None)
@given(sides, sides, crops)
def test_a_resized_image_just_covers_the_crop(h: int, w: int, crop: tuple[int, int]) -> None:
    scale = max(Fraction(crop[0], h), Fraction(crop[1], w))
    size = resized_size((h, w), crop)
    assert all(side >= least for side, least in zip(size, crop, strict=True))
    assert any(side == least for side, least in zip(size, crop, strict=True))
    assert all(abs(side - scale * own) <= Fraction(1, 2) for side, own in zip(size, (h, w), strict=True))


@settings(deadline=None)
@given(*[st.integers(1, 300)] * 2, st.tuples(*[st.integers(16, 600)] * 2))  # at most 11,250 windows
def test_windows_cover_every_pixel_and_end_at_the_edge(h: int, w: int, crop: tuple[int, int]) -> None:
    size = resized_size((h, w), crop)
    found = windows(size, crop)
    assert len(found) == ceil(Fraction(max(size[0] * crop[1], size[1] * crop[0]), crop[0] * crop[1]))
    for axis in (0, 1):
        starts = sorted({offset[axis] for offset in found})
        covered = np.zeros(size[axis], int)
        for start in starts:
            assert start >= 0
            assert start + crop[axis] <= size[axis]
            covered[start : start + crop[axis]] += 1
        assert covered.min() == 1 or (covered.min() == covered.max() == 2)
        assert starts[-1] + crop[axis] == size[axis]


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(0, 4000))
def test_offsets_follow_the_formula_in_exact_arithmetic(crop: int, more: int) -> None:
    long = crop + more
    n = ceil(Fraction(long, crop))
    wanted = [0] + [floor(j * (crop - Fraction(n * crop - long, n - 1))) for j in range(1, n)]
    assert [left for _, left in windows((crop, long), (crop, crop))] == wanted


def test_a_size_that_does_not_cover_the_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter than the crop"):
        windows((31, 64), (32, 32))


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(1, 20))
def test_split_gives_the_pixels_of_each_window(more_h: int, more_w: int, crop_h: int, crop_w: int) -> None:
    crop, size = (crop_h, crop_w), (crop_h + more_h - 1, crop_w + more_w - 1)
    x = torch.arange(size[0] * size[1]).view(1, *size)
    parts = split(x, crop)
    for part, (top, left) in zip(parts, windows(size, crop), strict=True):
        assert part.shape == (1, *crop)
        assert part[0, 0, 0] == top * size[1] + left
        assert part.data_ptr() == x[:, top, left].data_ptr()


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 40), st.integers(1, 40), st.integers(0, 1))
def test_tiles_make_up_the_image_within_their_limits(
    resized: int, own: int, most_own: int, most_resized: int, margin: int
) -> None:
    position = [min(resized - 1, i * resized // own) for i in range(own)]
    below = [min(resized - 1, first + 1) for first in position]
    found = list(tiles(position, below, resized, Limits(most_own, most_resized, margin)))
    assert [row for tile in found for row in range(own)[tile.own]] == list(range(own))
    for tile in found:
        rows = range(own)[tile.own]
        assert 1 <= len(rows) <= most_own
        needed = {source for row in rows for source in (position[row], below[row])}
        assert needed <= set(range(resized)[tile.resized])
        assert tile.resized.start == max(0, min(needed) - margin)
        assert tile.resized.stop == min(resized, max(needed) + 1 + margin)
        assert max(needed) + 1 - min(needed) <= most_resized or len(rows) == 1
    # as tall as may be: no tile has room for the next one's first row
    for tile, following in pairwise(found):
        first, nxt = tile.own.start, following.own.start
        assert nxt + 1 - first > most_own or below[nxt] + 1 - position[first] > most_resized
