"""Images kept decoded: the same pixels as from the file, or none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from tiny_dataset import save_tiny

from segrank.data import open_dataset
from segrank.data.keep_images import keep_images
from segrank.data.transcoded import Transcoded, transcode
from segrank.data.tree import Tree
from segrank.data.union import open_tree
from segrank.errors import DataError

DIGEST = "sha256:" + "ab" * 32
NAMES = ("a.png", "sub/ä b.png", "c.png")


class Kept(NamedTuple):
    tree: Tree
    root: Path
    transcoded: Transcoded


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    root = tmp_path / "images"
    rng = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9 + number, 14, 3), dtype=np.uint8)).save(root / name)
    return Kept(open_tree(root), root, Transcoded.of(tmp_path / "kept", DIGEST))


def files(kept: Kept) -> list[Path]:
    return sorted(kept.transcoded.folder.iterdir())


def test_pixels_are_those_of_the_file_and_nothing_is_there_before(kept: Kept) -> None:
    tree, root, transcoded = kept
    assert transcoded.read(NAMES[0], tree.size(NAMES[0])) is None
    steps: list[tuple[int, int]] = []
    assert transcode(tree, NAMES, transcoded, lambda *step: steps.append(step)) == 3
    assert steps == [(1, 3), (2, 3), (3, 3)]
    for name in NAMES:
        pixels = transcoded.read(name, tree.size(name))
        assert pixels is not None
        assert (pixels == np.array(Image.open(root / name))).all()
        assert pixels.flags.writeable


def test_it_goes_on_where_it_stopped(kept: Kept) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transcode(kept.tree, NAMES, kept.transcoded, stop)
    assert len(files(kept)) == 2
    assert transcode(kept.tree, NAMES, kept.transcoded) == 1
    assert transcode(kept.tree, NAMES, kept.transcoded) == 0


def test_another_split_or_a_changed_file_finds_nothing(kept: Kept) -> None:
    tree, _, transcoded = kept
    transcode(tree, NAMES, transcoded)
    name, size = NAMES[0], tree.size(NAMES[0])
    assert transcoded.read(name, size) is not None
    assert transcoded.read(name, size + 1) is None
    assert transcoded.read("d.png", size) is None
    other = "sha256:" + "cd" * 32
    assert Transcoded.of(transcoded.folder.parent, other).read(name, size) is None
    renamed = Transcoded(transcoded.folder, other)  # as if the folder had been renamed, and its files
    shutil.copyfile(transcoded._path(name), renamed._path(name))
    assert renamed.read(name, size) is None


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "header-only": lambda content: content[:60],
    "cut": lambda content: content[:-1],
    "flipped-pixel": lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
    "zeros": lambda content: content[:60] + bytes(len(content) - 60),
    "version": lambda content: content[:7] + b"\2" + content[8:],
    "huge": lambda content: content[:48] + b"\xff" * 8 + content[56:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_not_used_and_made_good(kept: Kept, damage: str) -> None:
    tree, root, transcoded = kept
    transcode(tree, NAMES, transcoded)
    path = transcoded._path(NAMES[1])
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert transcoded.read(NAMES[1], tree.size(NAMES[1])) is None
    assert transcode(tree, NAMES, transcoded) == 1
    pixels = transcoded.read(NAMES[1], tree.size(NAMES[1]))
    assert pixels is not None
    assert (pixels == np.array(Image.open(root / NAMES[1]))).all()


@pytest.mark.parametrize("name", ["d.jpg", "d.bmp", "d.tif"])
def test_what_is_no_png_is_passed_over(kept: Kept, name: str) -> None:
    Image.new("RGB", (8, 8)).save(kept.root / name)
    assert transcode(open_tree(kept.root), (name,), kept.transcoded) == 0
    assert kept.transcoded.read(name, (kept.root / name).stat().st_size) is None


def test_a_full_disk_is_refused_before_anything_is_written(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**30))
    with pytest.raises(DataError, match=r"(?s)has 1\.0 GiB left.*to spare"):
        transcode(kept.tree, NAMES, kept.transcoded)
    assert not kept.transcoded.folder.exists()


def test_what_cannot_be_written_is_an_error_with_the_reason(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("segrank.data.transcoded.write_whole", full)
    with pytest.raises(DataError, match="cannot be written to: No space left on device"):
        transcode(kept.tree, NAMES, kept.transcoded)


def test_a_damaged_image_is_named(kept: Kept) -> None:
    (kept.root / "d.png").write_bytes((kept.root / "a.png").read_bytes()[:80])
    with pytest.raises(DataError, match=r"d\.png is damaged"):
        transcode(open_tree(kept.root), ("d.png",), kept.transcoded)


def test_a_split_reads_what_is_kept_and_falls_back_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGRANK_CACHE", str(tmp_path / "cache"))
    definition = save_tiny(tmp_path)
    for path in list((tmp_path / "images").rglob("*.jpg")):
        Image.open(path).save(path.with_suffix(".png"))
    definition.write_text(definition.read_text().replace(".jpg", ".png"))
    split = open_dataset(str(definition)).split("train")
    before = [split[index].image for index in range(2)]
    made = keep_images(str(definition))
    assert (made.made, made.images) == (2, 2)
    assert keep_images(str(definition)).made == 0

    decoded: list[str] = []
    monkeypatch.setattr("segrank.data.file_dataset.read_image", lambda content, name: decoded.append(name))
    split = open_dataset(str(definition)).split("train")
    assert all((split[index].image == before[index]).all() for index in range(2))
    assert decoded == []
    monkeypatch.undo()
    for path in made.folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert all((split[index].image == before[index]).all() for index in range(2))
