"""What is kept of archives on disk: found again, never wrong, never needed."""

from __future__ import annotations

import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hand_built import TAR_END, pack_folder, tar_member
from tiny_dataset import save_tiny

from segrank.data import archive
from segrank.data.archive import ArchiveTree
from segrank.data.archive_file import ArchiveFile
from segrank.data.definition import Definition, SplitFiles, read_definition
from segrank.data.file_dataset import FileDataset, FileSplit
from segrank.data.members import Members
from segrank.data.union import open_tree
from segrank.errors import DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/splits"


@pytest.fixture
def tiny(tmp_path: Path, cache: Path) -> FileDataset:
    definition = save_tiny(tmp_path / "unpacked")
    return FileDataset(read_definition(definition), open_tree(pack_folder(tmp_path / "unpacked", tmp_path / "a.zip")))


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Archives whose directory was read."""
    seen: list[str] = []

    def watched(kind: str) -> None:
        list_members, read_member = archive._READERS[kind]

        def listed(file: ArchiveFile) -> Members:
            seen.append(file.path.name)
            return list_members(file)

        monkeypatch.setitem(archive._READERS, kind, (listed, read_member))

    watched("zip")
    watched("tar")
    return seen


def again(dataset: FileDataset) -> FileDataset:
    """As another process would open it."""
    return pickle.loads(pickle.dumps(dataset))  # type: ignore[no-any-return]


def content(split: FileSplit) -> list[object]:
    samples = [(s.name, s.image.tolist(), s.labels.tolist()) for s in map(split.__getitem__, range(len(split)))]
    return [*split.names, split.digest(), split.left_out, samples]


def test_the_second_start_reads_no_directory(tiny: FileDataset, listings: list[str], cache: Path) -> None:
    first = [content(tiny.split(name)) for name in tiny.splits]
    assert listings == ["a.zip"]
    assert len(list(cache.iterdir())) == 2
    assert [content(again(tiny).split(name)) for name in tiny.splits] == first
    assert [content(pickle.loads(pickle.dumps(again(tiny).split(name)))) for name in tiny.splits] == first
    assert listings == ["a.zip"]


def test_several_archives_and_files_left_out(tmp_path: Path, cache: Path, listings: list[str]) -> None:
    definition = read_definition(save_tiny(tmp_path / "unpacked"))
    (tmp_path / "unpacked/masks/train/lonely.png").write_bytes(b"x")
    images = pack_folder(tmp_path / "unpacked/images", tmp_path / "images.zip")
    masks = pack_folder(tmp_path / "unpacked/masks", tmp_path / "masks.tar")
    files = SplitFiles(images="train/*.jpg", masks="train/*.png")
    definition = definition.model_copy(update={"splits": {"train": files}})
    dataset = FileDataset(definition, open_tree(images, masks), unpaired=1)
    first = dataset.split("train")
    assert first.left_out == ("train/lonely.png has no image",)
    assert content(again(dataset).split("train")) == content(first)
    assert listings == ["images.zip", "masks.tar"]
    with pytest.raises(DataError, match=r"train/lonely\.png has no image"):
        FileDataset(definition, open_tree(images, masks)).split("train")


def test_endings_that_are_not_utf_8(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_member(b"i/a.\xff", b"x") + tar_member(b"m/a.png", b"x") + TAR_END)
    files = {"train": SplitFiles(images="i/*", masks="m/*.png")}
    dataset = FileDataset(Definition(name="x", classes=("a", "b"), splits=files), open_tree(tmp_path / "a.tar"))
    for split in (dataset.split("train"), dataset.split("train")):  # from the archive, then from what was kept
        assert list(split.pairs.images) == ["i/a.\udcff"]
    assert len(list(cache.iterdir())) == 1


def test_what_changed_is_read_again(tiny: FileDataset, listings: list[str], tmp_path: Path) -> None:
    before = tiny.split("train").digest()
    path = tmp_path / "a.zip"
    os.utime(path, (1, 1))
    assert again(tiny).split("train").digest() == before
    assert len(listings) == 2
    # of the same size and time: the archive's end tells
    spoilt = path.read_bytes().replace(b"images/train/a.jpg", b"images/train/z.jpg")
    path.write_bytes(spoilt.replace(b"masks/train/a.png", b"masks/train/z.png"))
    os.utime(path, (1, 1))
    assert list(again(tiny).split("train").names) == ["b", "z"]
    definition = tiny.definition.model_copy(update={"ignore": (255, 9)})
    changed = FileDataset(definition, open_tree(path)).split("train").digest()
    assert changed not in (before, again(tiny).split("train").digest())


def test_a_stale_index_never_gives_other_data(tiny: FileDataset, tmp_path: Path) -> None:
    split = tiny.split("train")
    shutil.copy(tmp_path / "unpacked/images/train/a.jpg", tmp_path / "unpacked/images/train/0.jpg")
    shutil.copy(tmp_path / "unpacked/masks/train/a.png", tmp_path / "unpacked/masks/train/0.png")
    (tmp_path / "a.zip").unlink()
    pack_folder(tmp_path / "unpacked", tmp_path / "a.zip")
    late = pickle.loads(pickle.dumps(split))  # a worker that starts after the archive was replaced
    with pytest.raises(DataError, match=r"a\.zip: images/train/a\.jpg is not where the archive's directory says"):
        late[0]


@pytest.mark.parametrize("cut", [0, 5, 8, 40, 200, -1])
def test_damaged_files_are_made_anew(tiny: FileDataset, cache: Path, cut: int) -> None:
    good = content(tiny.split("train"))
    [path] = cache.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[:cut], whole[:cut] + b"?" + whole[cut:][1:], whole[:8] + b"[]\n" + whole[8:]):
        path.write_bytes(damaged)
        assert content(again(tiny).split("train")) == good
        assert path.read_bytes() == whole


def test_without_a_place_to_write(tiny: FileDataset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.write_text("a file where the folder should be")
    good = content(tiny.split("train"))
    assert content(again(tiny).split("train")) == good
    monkeypatch.setenv("SEGRANK_CACHE", "/proc/nowhere")
    assert content(again(tiny).split("train")) == good
    for name in ("SEGRANK_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home() -> Path:
        raise RuntimeError("there is no home")

    monkeypatch.setattr(Path, "home", no_home)
    assert content(again(tiny).split("train")) == good


def test_where_it_is_kept(tiny: FileDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGRANK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    tiny.split("train")
    assert len(list((tmp_path / "xdg/segrank/splits").iterdir())) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    tiny.split("train")
    assert len(list((tmp_path / "home/.cache/segrank/splits").iterdir())) == 1


def test_several_writers_at_once(tiny: FileDataset, cache: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        digests = set(threads.map(lambda _: again(tiny).split("train").digest(), range(24)))
    assert len(digests) == 1
    assert len(list(cache.iterdir())) == 1  # and nothing temporary
    assert again(tiny).split("train").digest() in digests


def test_folders_and_failures_are_not_kept(tmp_path: Path, tiny: FileDataset, cache: Path) -> None:
    FileDataset(tiny.definition, open_tree(tmp_path / "unpacked")).split("train")
    with pytest.raises(DataError, match="no split"):
        tiny.split("none")
    empty = Definition(**tiny.definition.model_dump() | {
        "splits": {"train": SplitFiles(images="none/*.jpg", masks="none/*.png")}
    })  # fmt: skip
    with pytest.raises(DataError, match=r"is empty: nothing in .*a\.zip matches"):
        FileDataset(empty, ArchiveTree(tmp_path / "a.zip")).split("train")
    assert not cache.exists()
