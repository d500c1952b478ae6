"""Folders of images and masks: what they come to, and how each mistake in them is named."""

from __future__ import annotations

import functools
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_dataset import DEFINITION, save_pair, save_tiny

from segrank.data import open_dataset
from segrank.data.definition import read_definition
from segrank.data.file_dataset import FileDataset
from segrank.data.union import open_tree
from segrank.errors import DataError

PutPair = Callable[..., None]


@pytest.fixture
def put_pair(tmp_path: Path) -> PutPair:
    return functools.partial(save_pair, tmp_path)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return save_tiny(tmp_path)


def define(path: Path, old: str = "", new: str = "") -> FileDataset:
    """The tiny dataset with a part of its YAML replaced."""
    assert old in DEFINITION
    path.write_text(DEFINITION.replace(old, new, 1) if old else DEFINITION)
    return FileDataset.open(path)


def test_reads_what_was_written(tiny: Path) -> None:
    dataset = open_dataset(str(tiny))
    assert (dataset.name, dataset.classes, dataset.splits) == (
        "tiny",
        ("sky", "road", "car"),
        ("train", "val"),
    )
    split = pickle.loads(pickle.dumps(dataset.split("train")))
    assert list(split.names) == ["a", "b"]
    assert len(split) == 2
    assert split[0].labels.tolist() == [[0, 1], [2, 255]]
    assert split[0].labels.dtype == np.uint8
    assert split[1].image.shape == (2, 3, 3)
    assert split[1].name == "b"
    assert [dataset.split("val")[0].single_valued, split[0].single_valued] == [True, False]


def test_ids_are_mapped_by_class_name_or_index(tiny: Path, put_pair: PutPair) -> None:
    put_pair("train/a", [[7, 26_001], [11, 65_535]])
    put_pair("train/b", [[255, 255]])  # one raw value, although...
    put_pair("val/c", [[0, 3]])  # ...two raw values may both mean "ignore"
    dataset = define(tiny, "ignore: 255", "ignore: [255, 65535, 0, 3]\nids: {7: road, 26001: 2, 11: sky}")
    train, val = dataset.split("train"), dataset.split("val")
    assert train[0].labels.tolist() == [[1, 2], [0, 255]]
    assert (train[1].labels.tolist(), train[1].single_valued) == ([[255, 255]], True)
    assert (val[0].labels.tolist(), val[0].single_valued) == ([[255, 255]], False)


def test_colours(tiny: Path, tmp_path: Path) -> None:
    colours = np.array([[[128, 64, 128], [0, 0, 1]], [[1, 0, 0], [0, 0, 0]]], dtype=np.uint8)
    for name in ("a", "b"):
        Image.new("RGB", (2, 2)).save(tmp_path / f"images/train/{name}.jpg")
    Image.fromarray(colours).save(tmp_path / "masks/train/a.png")
    colours[0, 0] = 99, 98, 97
    Image.fromarray(colours).save(tmp_path / "masks/train/b.png")
    new = 'colours: ["#804080", [1, 0, 0], [0, 0, 1]]\nignore_colours: [[0, 0, 0]]'
    split = define(tiny, "ignore: 255", new).split("train")
    assert split[0].labels.tolist() == [[0, 2], [1, 255]]
    with pytest.raises(DataError, match=r"(?s)masks/train/b\.png has the unknown colour #636261.*#804080"):
        split[1]


def test_unknown_ids_are_named(tiny: Path, put_pair: PutPair) -> None:
    put_pair("train/b", [[0, 3], [9, 1]])
    with pytest.raises(DataError, match=r"(?s)masks/train/b\.png has the unknown ids 3, 9.*one of: 0, 1, 2, 255"):
        define(tiny).split("train")[1]
    put_pair("train/b", [[0, 40_000]])
    with pytest.raises(DataError, match="unknown id 40000"):
        define(tiny).split("train")[1]


def test_sizes_that_differ(tiny: Path, put_pair: PutPair) -> None:
    put_pair("train/a", [[0, 1]], size=(4, 2))
    with pytest.raises(DataError, match=r"images/train/a\.jpg is 4x2 and .*masks/train/a\.png is 2x1"):
        define(tiny).split("train")[0]
    resized = define(tiny, "ignore: 255", "ignore: 255\nresize_labels: true").split("train")[0]
    assert resized.labels.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_all_ignored_mask_is_read(tiny: Path, put_pair: PutPair) -> None:
    put_pair("train/a", [[255, 255]])
    assert (define(tiny).split("train")[0].labels == 255).all()


def test_wildcards_pair_files_whose_names_differ_around_them(tiny: Path, tmp_path: Path) -> None:
    for city, frame in (("ulm", "ulm_1"), ("bonn", "bonn_1")):
        for kind, suffix in (("left", "_left8bit.png"), ("fine", "_fine_ids.png")):
            folder = tmp_path / kind / "train" / city
            folder.mkdir(parents=True)
            Image.new("L", (2, 2)).save(folder / (frame + suffix))
    new = "left/train/*/*_left8bit.png, masks: fine/train/*/*_fine_ids.png"
    split = define(tiny, "images/train/*.jpg, masks: masks/train/*.png", new).split("train")
    assert list(split.names) == ["bonn/bonn_1", "ulm/ulm_1"]
    new = "left/**/*_left8bit.png, masks: fine/**/*_fine_ids.png"
    split = define(tiny, "images/train/*.jpg, masks: masks/train/*.png", new).split("train")
    assert list(split.names) == ["train/bonn/bonn_1", "train/ulm/ulm_1"]


@pytest.mark.parametrize("images", ["images/train/*", "images/train/*.[jJ][pP][gG]", "images/train/*.jp?"])
def test_the_extension_is_no_part_of_the_name(tiny: Path, images: str) -> None:
    split = define(tiny, "images/train/*.jpg,", f'"{images}",').split("train")
    assert list(split.names) == ["a", "b"]


def test_a_list_of_stems(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbftrain/b  \r\n\r\n  train/a\n\n")
    new = 'train: {list: train.txt, images: "images/{}.jpg", masks: "masks/{}.png"}\n  other: {images'
    dataset = define(tiny, "train: {images", new)
    assert list(dataset.split("train").names) == ["train/b", "train/a"]
    for line, message in (
        ("train/a\ntrain/a", r'train\.txt, line 2: "train/a" stands twice'),
        ("../a", "leaves the root"),
        ("/etc/passwd", "leaves the root"),
        ("train/a\ntrain/z", r"train/z has no image: there is no images/train/z\.jpg; train/z has no mask"),
        (" \n", r'split "train" of tiny is empty: train\.txt lists nothing'),
        ("a\x00b", r"train\.txt, line 1.*control character"),
    ):
        (tmp_path / "train.txt").write_text(line)
        with pytest.raises(DataError, match=message):
            dataset.split("train")
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"train\.txt cannot be read"):
        dataset.split("train")
    (tmp_path / "train.txt").unlink()
    with pytest.raises(DataError, match=r"train\.txt cannot be read: .*No such file"):
        dataset.split("train")


def test_image_without_mask_and_mask_without_image(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "masks/train/a.png").rename(tmp_path / "masks/train/z.png")
    with pytest.raises(
        DataError, match=r"incomplete in .*: images/train/a\.jpg has no mask; masks/train/z\.png has no image"
    ):
        define(tiny).split("train")


def test_empty_and_unknown_splits(tiny: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "images/val")
    shutil.rmtree(tmp_path / "masks/val")
    with pytest.raises(DataError, match=r'split "val" of tiny is empty: nothing in .* matches "images/val/\*\.jpg"'):
        define(tiny).split("val")
    with pytest.raises(DataError, match=r'(?s)tiny has no split "vall".*train, val.*did you mean "val"'):
        define(tiny).split("vall")


def test_odd_names_work(tiny: Path, put_pair: PutPair) -> None:
    names = ["-rf", "it's", 'say "hi"', "a b", "[x]", "{}", "çelik-日本", "$(id)", "a.b.c"]
    for name in names:
        put_pair(f"train/{name}")
    split = define(tiny).split("train")
    assert set(split.names) == {*names, "a", "b"}
    assert all(sample.labels.shape[0] == 2 for sample in split)  # type: ignore[attr-defined]


def test_line_break_in_a_name_is_refused(tiny: Path, put_pair: PutPair) -> None:
    put_pair("train/two\nlines")
    with pytest.raises(DataError, match=r"images/train/two\\nlines\.jpg' has a line break"):
        define(tiny).split("train")


def test_hidden_files_are_passed_over(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "images/train/._a.jpg").write_bytes(b"left by an archiver")
    assert list(define(tiny).split("train").names) == ["a", "b"]


def test_two_files_of_one_name(tiny: Path, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "images/train/a.jpg", tmp_path / "images/train/a.jpeg")
    with pytest.raises(DataError, match=r'images/train/a\.jpe?g and images/train/a\.jpe?g are both "a"'):
        define(tiny, "images/train/*.jpg", "images/train/*").split("train")


def test_a_directory_named_like_an_image(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "images/train/a.jpg").unlink()
    (tmp_path / "images/train/a.jpg").mkdir()
    split = define(tiny).split("train")
    assert split[1].name == "b"  # the others are unaffected
    with pytest.raises(DataError, match=r"images/train/a\.jpg is a folder"):
        split[0]


def test_links(tiny: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    images = tmp_path / "images/train"
    (images / "loop").symlink_to(images, target_is_directory=True)
    every = define(
        tiny,
        "images/train/*.jpg, masks: masks/train/*.png",
        "images/train/**/*.jpg, masks: masks/train/**/*.png",
    )
    assert list(every.split("train").names) == ["a", "b"]  # a loop ends
    (images / "a.jpg").rename(images / "real.jpeg")
    (images / "a.jpg").symlink_to("real.jpeg")
    assert define(tiny).split("train")[0].name == "a"  # a link inside the root is a file like others
    (images / "real.jpeg").rename(outside / "real.jpeg")
    (images / "a.jpg").unlink()
    (images / "a.jpg").symlink_to(outside / "real.jpeg")
    with pytest.raises(DataError, match=r"images/train/a\.jpg is a link that leaves the root"):
        define(tiny).split("train")
    (images / "a.jpg").unlink()
    shutil.move(images, outside / "train")
    images.symlink_to(outside / "train", target_is_directory=True)
    with pytest.raises(DataError, match="images/train is a link that leaves the root"):
        define(tiny).split("train")


@pytest.mark.parametrize("pattern", ["../*.jpg", "images/../../*.jpg", "/etc/*.jpg"])
def test_patterns_stay_in_the_root(tiny: Path, pattern: str) -> None:
    with pytest.raises(DataError, match="leaves the root"):
        define(tiny, "images/train/*.jpg", pattern).split("train")


def test_digest_follows_meaning_and_files(tiny: Path, put_pair: PutPair, tmp_path: Path) -> None:
    before = define(tiny).split("train").digest()
    assert before.startswith("sha256:")
    copy = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "images", copy / "images")
    shutil.copytree(tmp_path / "masks", copy / "masks")
    assert define(tiny, "name: tiny", "name: other\nroot: elsewhere").split("train").digest() == before
    assert (
        define(tiny, "ignore: 255", "ignore: [255]\nids: {0: sky, 1: road, 2: car}").split("train").digest() == before
    )
    changed = [
        define(tiny, "[sky, road, car]", "[sky, car, road]"),
        define(tiny, "ignore: 255", "ignore: [255, 9]"),
        define(tiny, "ignore: 255", "ignore: 255\nids: {0: 1, 1: 0, 2: 2}"),
        define(tiny, "ignore: 255", "ignore: 255\nresize_labels: true"),
    ]
    digests = {dataset.split("train").digest() for dataset in changed}
    put_pair("train/c")
    digests.add(define(tiny).split("train").digest())
    assert len(digests - {before}) == 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ignore: 255", "ignor: 255", 'unknown key "ignor"; did you mean "ignore"'),
        ("{images: images/train", "{imgaes: images/train", 'unknown key "splits.train.imgaes"; did you mean'),
        ("name: tiny", "name: ''", "name: .*at least 1"),
        ("name: tiny", 'name: "a\\nb"', "do not print"),
        ("val:", "../val:", "the name '../val' has a /"),
        ("[sky, road, car]", "[]", "classes: .*at least 1 item"),
        ("[sky, road, car]", "[sky, ' ', car]", "' ' is empty"),
        ("[sky, road, car]", "[sky, road, sky]", '"sky" stands twice'),
        ("[sky, road, car]", "[sky, road, 3]", r"classes\.2: .*string"),
        ("[sky, road, car]", f"[{', '.join(f'c{i}' for i in range(256))}]", "classes: .*at most 255"),
        ("ignore: 255", "ignore: 2", 'value 2 would be "car" and ignored; list the ids'),
        ("ignore: 255", "ignore: -1", "ignore.0: .*greater than or equal to 0"),
        ("ignore: 255", "ignore: 1e9", "ignore"),
        ("ignore: 255", "ids: {0: skye}", "0 is mapped to 'skye'"),
        ("ignore: 255", "ids: {0: 3}", "0 is mapped to '3'.*index from 0 to 2"),
        ("ignore: 255", "ids: {70000: 1}", "ids.70000.*less than or equal to 65535"),
        ("ignore: 255", "colours: ['#000000', '#ffffff']", "2 colours for 3 classes"),
        (
            "ignore: 255",
            "colours: ['#000000', '#000000', '#ffffff']",
            'value #000000 would be "sky" and "road"',
        ),
        ("ignore: 255", "colours: ['#000000', [0, 0, 256], '#ffffff']", "a colour is"),
        ("ignore: 255", "ignore: 0\ncolours: ['#000000', '#000001', '#ffffff']", "either ids .* or colours"),
        ("images/train/*.jpg", "images/train/a.jpg", r"needs a \*"),
        ("{images: images/train/*.jpg", "{list: x.txt, images: images/*.jpg", r"needs \{\} once"),
        ("name: tiny", "name: tiny\nname: again", "not the YAML that segrank reads.*duplicate key"),
        ("name: tiny", "name: !!python/object/apply:os.system [id]", "not the YAML that segrank reads"),
        ("name: tiny", "name: &a [x]\nignore: *a", "alias"),
        ("name: tiny", "1: tiny", "not a word"),
        ("name: tiny", "name: tiny\nroot: nowhere", "root: nowhere, and there is no folder"),
        ("ignore: 255", "resize_labels: 'yes'", "resize_labels: .*boolean"),
    ],
)
def test_bad_definitions_are_refused(tiny: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)tiny\.yaml.*{message}"):
        define(tiny, old, new)


def test_non_ascii_class_names(tiny: Path) -> None:
    assert define(tiny, "[sky, road, car]", "[Himmel, Straße, 車]").classes == ("Himmel", "Straße", "車")


def test_no_yaml_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*none\.yaml"):
        open_dataset(str(tmp_path / "none.yaml"))
    with pytest.raises(DataError, match=r"(?s)is a folder.*the YAML file"):
        open_dataset(str(tmp_path))


@pytest.mark.shared
def test_camvid(shared: Path) -> None:
    if not (shared / "data/camvid").is_dir():
        pytest.skip("no CamVid in the shared data")
    definition = Path(__file__).parents[2] / "examples/camvid.yaml"
    dataset = FileDataset(read_definition(definition), open_tree(shared / "data/camvid"))
    assert {name: len(dataset.split(name)) for name in dataset.splits} == {
        "train": 406,
        "val": 171,
        "dusk": 124,
    }
    sample = dataset.split("dusk")[0]
    assert sample.name == "test/0001TP_008550"
    assert sample.image.shape == (360, 480, 3)
    with Image.open(shared / "data/camvid/masks/test/0001TP_008550.png") as mask:
        raw = np.array(mask)
    assert (sample.labels == np.where(raw == 11, 255, raw)).all()
