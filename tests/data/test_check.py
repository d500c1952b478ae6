"""What check_dataset collects, counted by hand."""

from __future__ import annotations

import functools
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_dataset import DEFINITION, save_pair, save_tiny

from segrank.data.check import check_dataset
from segrank.data.palette import class_colours, overlay
from segrank.errors import DataError

PutPair = Callable[..., None]


@pytest.fixture
def put_pair(tmp_path: Path) -> PutPair:
    return functools.partial(save_pair, tmp_path)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return save_tiny(tmp_path)


def test_a_sound_dataset(tiny: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    report = check_dataset(str(tiny), on_image=lambda *step: seen.append(step), contact_sheet=tmp_path / "sheet.png")
    assert report.ok
    assert report.problems == ()
    assert seen == [("train", 1, 2), ("train", 2, 2), ("val", 1, 1)]
    train, val = report.splits
    # train/a is [[0, 1], [2, 255]]; train/b is [[0, 0, 0], [1, 1, 1]]; val/c is four times 2
    assert (train.images, train.looked_at) == (2, 2)
    assert train.class_pixels == (4, 4, 1)
    assert train.class_images == (2, 2, 1)
    assert train.ignored_pixels == 1
    assert train.ignored_share == 0.1
    assert (train.smallest, train.largest) == ((2, 2), (2, 3))
    assert val.single_valued == ("c",)
    assert report.notes == (
        'split "val": 1 mask holds one value only and would be left out of training, such as c',
        'split "val": no pixel of sky, road',
    )
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 400


def test_everything_wrong_is_collected(tiny: Path, tmp_path: Path, put_pair: PutPair) -> None:
    put_pair("train/c", [[0, 1], [77, 78]])
    put_pair("train/d", [[0, 1]], size=(6, 5))
    put_pair("train/e", [[255, 255]])
    put_pair("train/f")
    put_pair("train/g")
    put_pair("train/h")
    (tmp_path / "images/train/f.jpg").write_bytes(b"<html>")
    Image.new("L", (2, 2)).save(tmp_path / "masks/train/g.png", "JPEG")
    (tmp_path / "masks/train/h.png").unlink()
    shutil.copy(tmp_path / "images/train/a.jpg", tmp_path / "images/val/c.jpg")
    report = check_dataset(str(tiny), contact_sheet=tmp_path / "sheet.png")
    assert not report.ok
    train = report.splits[0]
    assert (train.images, train.looked_at) == (7, 7)
    assert train.missing == ("images/train/h.jpg has no mask",)
    assert train.unknown_values == {"77": 1, "78": 1}
    assert train.unknown_in == ("c",)
    assert train.size_mismatches == ("d: image 6x5, mask 2x1",)
    assert train.all_ignored == ("e",)
    assert len(train.unreadable) == 2
    assert "f.jpg is not an image" in train.unreadable[0]
    assert "g.png is a mask saved as JPEG" in train.unreadable[1]
    assert report.shared_images == (("train/a", "val/c"),)
    said = "\n".join(report.problems)
    for part in (
        "1 file is missing: images/train/h.jpg",
        "2 pairs cannot be read",
        "1 mask of another size than the image: d",
        "1 mask has values that the definition does not explain (77, 78), first in c",
        "1 image is in several splits, such as train/a = val/c",
    ):
        assert part in said
    assert 'split "train": 1 image has no labelled pixel, such as e' in report.notes


def test_a_split_that_cannot_be_listed_leaves_the_others(tiny: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "images/val")
    shutil.rmtree(tmp_path / "masks/val")
    report = check_dataset(str(tiny))
    assert report.splits[0].looked_at == 2
    assert 'split "val" of tiny is empty' in report.splits[1].error
    assert len(report.problems) == 1


def test_a_bad_definition_is_raised(tiny: Path) -> None:
    tiny.write_text(DEFINITION.replace("classes", "clases"))
    with pytest.raises(DataError, match='unknown key "clases"'):
        check_dataset(str(tiny))


def test_scenes_and_a_limit(tmp_path: Path) -> None:
    report = check_dataset("scenes?train=20&val=3", images_per_split=5, contact_sheet=tmp_path / "sheet.png")
    assert report.ok
    assert [(split.name, split.images, split.looked_at) for split in report.splits] == [
        ("train", 20, 5),
        ("val", 3, 3),
        ("shift", 3, 3),
    ]
    assert report.splits[1].class_pixels == report.splits[2].class_pixels
    again = json.loads(report.model_dump_json())
    assert again["splits"][0]["median"] == [96, 96]


def test_colours_are_distinct_and_stable() -> None:
    colours = class_colours(255)
    assert len({tuple(colour) for colour in colours.tolist()}) == 255
    assert (class_colours(7) == colours[:7]).all()
    image = np.full((1, 2, 3), 100, dtype=np.uint8)
    laid = overlay(image, np.array([[1, 255]], dtype=np.uint8), 2, opacity=0.5)
    # E69F00 is 230, 159, 0
    assert laid.tolist() == [[[165, 130, 50], [50, 50, 50]]]


@pytest.mark.shared
def test_camvid_counts_agree_with_those_published_beside_it(shared: Path) -> None:
    folder = shared / "data/camvid"
    definition = Path(__file__).parents[2] / "examples/camvid.yaml"
    if not folder.is_dir() or (definition.parent / "../../shared").resolve() != shared.resolve():
        pytest.skip("no CamVid where the example expects it")
    report = check_dataset(str(definition))
    assert report.ok
    assert sum(split.images for split in report.splits) == 701
    published: Counter[str] = Counter()
    for counts in json.loads((folder / "dataset.json").read_text())["pixel_counts"].values():
        published.update(counts)
    found = np.sum([split.class_pixels for split in report.splits], axis=0)
    assert dict(zip(report.classes, found.tolist(), strict=True)) == {name: published[name] for name in report.classes}
    assert sum(split.ignored_pixels for split in report.splits) == published["void"]
