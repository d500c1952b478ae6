"""Predictions that are kept to be looked at."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from segrank.errors import StoreError
from segrank.predictions import MOST_IMAGES, SIDE_PX, Prediction, images_kept, packed, reduced, unpacked


@pytest.mark.parametrize("images", [1, 31, 32, 33, 2_000])
def test_the_images_are_few_different_and_evenly_spread(images: int) -> None:
    places = images_kept(images)
    assert len(places) == len(set(places)) == min(images, MOST_IMAGES)
    assert places[0] == 0
    assert max(np.diff([*places, images])) <= -(-images // len(places))


@pytest.mark.parametrize("size", [(1, 1), (200, 300), (1024, 2048), (5, 4000)])
def test_a_map_is_picked_from_and_not_mixed(size: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 7, 255], np.uint8), size)
    small = reduced(labels)
    assert max(small.shape) <= SIDE_PX
    assert set(np.unique(small)) <= set(np.unique(labels))
    if max(size) <= SIDE_PX:
        assert np.array_equal(small, labels)
    else:  # the pixel in the middle of what each stands for
        assert small[0, 0] == labels[int(0.5 * size[0] / small.shape[0]), int(0.5 * size[1] / small.shape[1])]


def test_what_is_packed_comes_back(tmp_path: Path) -> None:
    found = [Prediction(place, f"val/{place}.jpg \N{SNOWMAN}", np.full((3, 4), place, np.uint8)) for place in (9, 0, 4)]
    path = tmp_path / "predictions.npz"
    path.write_bytes(packed(found))
    again = unpacked(path)
    assert [(one.place, one.name) for one in again] == sorted((one.place, one.name) for one in found)
    assert all((one.labels == one.place).all() for one in again)
    assert packed([]) == b""


def _pickled() -> bytes:
    content = io.BytesIO()
    np.savez(content, names=np.array([{"a": 1}], dtype=object))
    return content.getvalue()


def _bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.npy", b"\0" * 10**8)
    return content.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"no archive at all", _pickled(), _bomb()], ids=["empty", "cut", "text", "pickle", "bomb"]
)
def test_a_damaged_or_hostile_file_is_an_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"predictions\.npz is damaged"):
        unpacked(path)
