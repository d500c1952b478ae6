"""A dataset is the same in a folder, in a zip and in a tar."""

from __future__ import annotations

import hashlib
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hand_built import ZipMember, pack_folder, zip_bytes
from tiny_dataset import DEFINITION, save_tiny

from segrank.data.check import check_dataset
from segrank.data.definition import Definition, SplitFiles, read_definition
from segrank.data.file_dataset import FileDataset
from segrank.data.images import read_image
from segrank.data.union import open_tree
from segrank.errors import DataError

LIST = 'train: {list: lists/train.txt, images: "images/{}.jpg", masks: "masks/{}.png"}\n  other: {images'


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    folder = tmp_path / "unpacked"
    save_tiny(folder).unlink()
    (folder / "lists").mkdir()
    (folder / "lists/train.txt").write_text("train/b\ntrain/a\n")
    return folder


@pytest.mark.parametrize("definition", [DEFINITION, DEFINITION.replace("train: {images", LIST)])
def test_folder_zip_and_tar_are_one_dataset(unpacked: Path, tmp_path: Path, definition: str) -> None:
    seen: list[object] = []
    for root in (unpacked, pack_folder(unpacked, tmp_path / "a.zip"), pack_folder(unpacked, tmp_path / "a.tar")):
        path = tmp_path / f"in_{root.suffix[1:]}.yaml"
        path.write_text(f"root: {root.name}\n{definition}")
        dataset = FileDataset.open(path)
        for name in dataset.splits:
            for split in (dataset.split(name), dataset.split(name), pickle.loads(pickle.dumps(dataset.split(name)))):
                samples = [split[index] for index in range(-1, len(split))]
                arrays = [(s.name, s.image.tolist(), s.labels.tolist(), s.single_valued) for s in samples]
                seen.append((name, list(split.names), split.digest(), arrays))
        report = check_dataset(str(path))
        assert (report.splits[0].images, report.splits[0].unreadable) == (2, ())
        seen.append(report)
    third = len(seen) // 3
    assert seen[:third] == seen[third : 2 * third] == seen[2 * third :]


def test_the_digest_is_over_names_sizes_and_meaning(unpacked: Path, tmp_path: Path) -> None:
    """Written out: the identities of finished runs hold it."""
    sizes = {path.stem: path.stat().st_size for path in (unpacked / "images/train").iterdir()}
    masks = {path.stem: path.stat().st_size for path in (unpacked / "masks/train").iterdir()}
    content = {
        "by_colour": False,
        "classes": ["sky", "road", "car"],
        "files": [[name, sizes[name], masks[name]] for name in ("a", "b")],
        "resize_labels": False,
        "values": [[0, 0], [1, 1], [2, 2], [255, 255]],
    }
    wanted = hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
    (tmp_path / "tiny.yaml").write_text(DEFINITION)
    definition = read_definition(tmp_path / "tiny.yaml")
    for root in (unpacked, pack_folder(unpacked, tmp_path / "a.zip")):
        assert FileDataset(definition, open_tree(root)).split("train").digest() == f"sha256:{wanted}"


def test_opening_and_listing_decode_nothing(tmp_path: Path) -> None:
    names = ["images/train/a.jpg", "masks/train/a.png", "images/val/b.jpg", "masks/val/b.png"]
    garbage = [ZipMember(name.encode(), b"no image, and the CRC is wrong too", crc=1) for name in names]
    (tmp_path / "tiny.zip").write_bytes(zip_bytes(garbage))
    (tmp_path / "tiny.yaml").write_text(f"root: tiny.zip\n{DEFINITION}")
    dataset = FileDataset.open(tmp_path / "tiny.yaml")
    for _ in range(2):
        assert {name: list(dataset.split(name).names) for name in dataset.splits} == {"train": ["a"], "val": ["b"]}
        assert len({dataset.split(name).digest() for name in dataset.splits}) == 2
    with pytest.raises(DataError, match="CRC-32 is wrong"):
        dataset.split("train")[0]


def test_messages_name_archive_and_file(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "images/train/a.jpg").write_bytes(b"<html>")
    (unpacked / "images/val/c.jpg").unlink()
    pack_folder(unpacked, tmp_path / "a.zip")
    (tmp_path / "tiny.yaml").write_text(f"root: a.zip\n{DEFINITION}")
    dataset = FileDataset.open(tmp_path / "tiny.yaml")
    with pytest.raises(DataError, match=r"a\.zip: images/train/a\.jpg is not an image of a known format"):
        dataset.split("train")[0]
    with pytest.raises(DataError, match=r'"val" of tiny is incomplete in .*a\.zip: masks/val/c\.png has no image'):
        dataset.split("val")
    report = check_dataset(str(tmp_path / "tiny.yaml"))
    assert any("a.zip: images/train/a.jpg" in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train/a\ntrain/z", r"train/z has no image: there is no images/train/z\.jpg; train/z has no mask"),
        ("../a", "leaves the root"),
        ("", r"lists/train\.txt lists nothing"),
    ],
)
def test_lists_in_archives(unpacked: Path, tmp_path: Path, line: str, message: str) -> None:
    (unpacked / "lists/train.txt").write_text(line)
    pack_folder(unpacked, tmp_path / "a.zip")
    (tmp_path / "tiny.yaml").write_text(f"root: a.zip\n{DEFINITION.replace('train: {images', LIST)}")
    with pytest.raises(DataError, match=message):
        FileDataset.open(tmp_path / "tiny.yaml").split("train")


def test_no_list_in_the_archive(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "lists/train.txt").unlink()
    pack_folder(unpacked, tmp_path / "a.zip")
    (tmp_path / "tiny.yaml").write_text(f"root: a.zip\n{DEFINITION.replace('train: {images', LIST)}")
    with pytest.raises(DataError, match=r"a\.zip: lists/train\.txt cannot be read: No such file"):
        FileDataset.open(tmp_path / "tiny.yaml").split("train")


# ---------------------------------------------------------------- archives as their makers lay them out


def read_zip(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as file:
        return file.read(name)


def read_tar(path: Path, name: str) -> bytes:
    with tarfile.open(path) as file:
        member = file.extractfile(name)
        assert member is not None
        return member.read()


VOC = SplitFiles(
    images="VOCdevkit/VOC2012/JPEGImages/{}.jpg",
    masks="VOCdevkit/VOC2012/SegmentationClass/{}.png",
    list="VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt",
)
ADE20K = SplitFiles(
    images="ADEChallengeData2016/images/training/*.jpg", masks="ADEChallengeData2016/annotations/training/*.png"
)
CITYSCAPES = SplitFiles(
    images="leftImg8bit/train/*/*_leftImg8bit.png", masks="gtFine/train/*/*_gtFine_labelIds.png"
)  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize(
    ("archives", "files", "count", "read"),
    [
        (["VOCtrainval_11-May-2012.tar"], VOC, 2, read_tar),
        (["VOCtrainval_11-May-2012.zip"], VOC, 2, read_zip),
        (["ADEChallengeData2016.zip"], ADE20K, 3, read_zip),
        (["leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"], CITYSCAPES, 3, read_zip),
        (["01_images.zip", "01_labels.zip"], SplitFiles(images="images/*.png", masks="labels/*.png"), 3, read_zip),
    ],
)
def test_official_layouts(
    shared: Path, archives: list[str], files: SplitFiles, count: int, read: Callable[[Path, str], bytes]
) -> None:
    paths = [shared / "data/official-layouts" / name for name in archives]
    definition = Definition(
        name="x", classes=tuple(f"class {n}" for n in range(255)), ignore=(255,), resize_labels=True,
        splits={"train": files},
    )  # fmt: skip
    dataset = FileDataset(definition, open_tree(*paths))
    split = dataset.split("train")
    assert len(split) == count
    for index in range(count):
        _, image, mask = split.pairs[index]
        content = read(paths[0], image)
        assert split.tree.read(image) == content
        assert split.tree.read(mask) == read(paths[-1], mask)
        assert np.array_equal(split[index].image, read_image(content, image))
