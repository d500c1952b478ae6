"""The named datasets: their definitions, where they are looked for, and what their labels mean."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segrank.data import IGNORE, open_dataset
from segrank.data.check import check_dataset
from segrank.data.official import OFFICIAL
from segrank.errors import DataError
from segrank.rescore import evaluate_run
from segrank.runner import run
from segrank.spec import RunSpec, read_spec
from segrank.store import Store

Files = Mapping[str, bytes]
PAGE = Path(__file__).parents[2] / "docs/datasets.md"


def picture(pixels: object, mode: str = "", kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    image = Image.fromarray(np.array(pixels, dtype=np.uint8))
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)
    image.save(content, kind)
    return content.getvalue()


PHOTO = picture(np.full((2, 4, 3), 80))


def save_zip(path: Path, files: Files) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def save_tar(path: Path, files: Files) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def save_folder(path: Path, files: Files) -> None:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def ade_files() -> dict[str, bytes]:
    files = {}
    for split, prefix in (("training", "train"), ("validation", "val")):
        for number in (1, 2):
            photo = picture(np.full((2, 4, 3), number), kind="JPEG")
            stem = f"{split}/ADE_{prefix}_{number:08d}"
            files[f"ADEChallengeData2016/images/{stem}.jpg"] = photo
            files[f"ADEChallengeData2016/annotations/{stem}.png"] = picture([[0, 1, 150, 2], [1, 1, 0, 3]])
    return files


def voc_files() -> dict[str, bytes]:
    folder = "VOCdevkit/VOC2012"
    files = {
        f"{folder}/ImageSets/Segmentation/train.txt": b"2007_000032\n2007_000001\n",
        f"{folder}/ImageSets/Segmentation/val.txt": b"2007_000033\n",
        f"{folder}/JPEGImages/2008_no_mask.jpg": PHOTO,
    }
    for stem in ("2007_000032", "2007_000001", "2007_000033"):
        files[f"{folder}/JPEGImages/{stem}.jpg"] = picture(np.full((2, 4, 3), 80), kind="JPEG")
        files[f"{folder}/SegmentationClass/{stem}.png"] = picture([[0, 20, 255, 15], [0, 0, 255, 1]], "P")
    return files


def city_files() -> tuple[dict[str, bytes], dict[str, bytes]]:
    images, labels = {}, {}
    for split, city, number in (("train", "aachen", 1), ("train", "ulm", 1), ("val", "lindau", 3)):
        stem = f"{split}/{city}/{city}_{number:06d}_000019"
        images[f"leftImg8bit/{stem}_leftImg8bit.png"] = PHOTO
        labels[f"gtFine/{stem}_gtFine_labelIds.png"] = picture([[7, 33, 0, 4], [11, 11, 26, 8]])
        labels[f"gtFine/{stem}_gtFine_color.png"] = PHOTO
    return images, labels


def save_gta(root: Path, parts: tuple[int, ...] = tuple(range(1, 11)), lost: tuple[str, ...] = ()) -> None:
    for part in parts:
        stems = [f"{2 * part + step:05d}" for step in (-1, 0)]
        save_zip(root / f"{part:02d}_images.zip", {f"images/{stem}.png": PHOTO for stem in stems})
        masks = {f"labels/{stem}.png": picture([[7, 34]], "P") for stem in stems if stem not in lost}
        save_zip(root / f"{part:02d}_labels.zip", masks)


# ---------------------------------------------------------------- definitions


def test_the_four_of_the_paper() -> None:
    counts = {name: len(OFFICIAL[name].definition.classes) for name in ("ade20k", "voc2012", "cityscapes", "gta5")}
    assert counts == {"ade20k": 150, "voc2012": 21, "cityscapes": 19, "gta5": 19}
    assert OFFICIAL["gta5"].definition.classes == OFFICIAL["cityscapes"].definition.classes
    official = {name: OFFICIAL[name].card.images for name in counts}
    assert official["ade20k"] == {"train": 20_210, "val": 2_000}
    assert official["voc2012"] == {"train": 1_464, "val": 1_449}
    assert official["cityscapes"] == {"train": 2_975, "val": 500}
    assert official["gta5"] == {"train": 24_966}


@pytest.mark.shared
def test_ade20k_has_the_names_of_the_list_in_its_archive(shared: Path) -> None:
    with zipfile.ZipFile(shared / "data/official-layouts/ADEChallengeData2016.zip") as archive:
        rows = archive.read("ADEChallengeData2016/objectInfo150.txt").decode().splitlines()[1:]
    assert list(OFFICIAL["ade20k"].definition.classes) == [row.split("\t")[-1].split(",")[0].strip() for row in rows]


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_card_is_whole_and_the_definition_fits_it(name: str) -> None:
    official = OFFICIAL[name]
    card, splits = official.card, official.definition.splits
    assert name == official.definition.name == name.lower()
    assert card.images.keys() == splits.keys()
    assert all(text.strip() == text and text for text in (card.title, card.about, card.home, card.licence, card.paper))
    assert "http" in card.home
    assert RunSpec(encoder="small:plain", dataset=name, **card.protocol)  # type: ignore[arg-type]
    for split in splits:
        assert any(split in part.splits for part in official.parts)
    assert {split for part in official.parts for split in part.splits} == splits.keys()
    official.definition.mapping()


def test_the_example_is_what_the_card_of_gta5_says() -> None:
    spec = read_spec(PAGE.parents[1] / "examples/gta5-to-cityscapes.yaml")
    assert spec == RunSpec(encoder=spec.encoder, dataset="gta5", **OFFICIAL["gta5"].card.protocol)  # type: ignore[arg-type]


def test_the_page_says_what_the_cards_say() -> None:
    text = PAGE.read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    expected = []
    for name, official in OFFICIAL.items():
        card, classes = official.card, len(official.definition.classes)
        images = ", ".join(f"{split} {count:,}" for split, count in card.images.items() if "-" not in split)
        expected.append(f"| `{name}` | {card.title} | {classes} | {images} | {card.licence} |")
    assert rows == expected


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize("save", [save_zip, save_folder])
def test_ade20k(tmp_path: Path, save: Callable[[Path, Files], None]) -> None:
    save(tmp_path / "ADEChallengeData2016.zip" if save is save_zip else tmp_path / "ade20k", ade_files())
    dataset = open_dataset("ade20k", tmp_path)
    assert dataset.splits == ("train", "val")
    split = dataset.split("val")
    assert list(split.names) == ["ADE_val_00000001", "ADE_val_00000002"]
    sample = split[0]
    assert sample.labels.tolist() == [[255, 0, 149, 1], [0, 0, 255, 2]]
    assert (sample.image.shape, sample.single_valued) == ((2, 4, 3), False)


@pytest.mark.parametrize("form", ["tar", "zip", "folder"])
def test_voc2012_is_the_same_in_each_form(tmp_path: Path, form: str) -> None:
    name = f"VOCtrainval_11-May-2012.{form}"
    save = {"tar": save_tar, "zip": save_zip, "folder": save_folder}[form]
    save(tmp_path / name if form != "folder" else tmp_path, voc_files())
    dataset = open_dataset("voc2012", str(tmp_path))
    train = dataset.split("train")
    assert list(train.names) == ["2007_000032", "2007_000001"]  # in the list's order
    assert train[1].labels.tolist() == [[0, 20, 255, 15], [0, 0, 255, 1]]
    assert len(dataset.split("val")) == 1
    copy = pickle.loads(pickle.dumps(train))
    assert (copy[0].labels == train[0].labels).all()
    (tmp_path / "other").mkdir()
    save_tar(tmp_path / "other/VOCtrainval_11-May-2012.tar", voc_files())
    assert train.digest() == open_dataset("voc2012", tmp_path / "other").split("train").digest()


def test_cityscapes_ids_and_that_no_archive_of_gta5_is_opened(tmp_path: Path) -> None:
    images, labels = city_files()
    save_zip(tmp_path / "leftImg8bit_trainvaltest.zip", images)
    save_folder(tmp_path / "CityScapes", labels)  # one part unpacked, in a folder of the dataset's name
    for part in range(1, 11):
        for kind in ("images", "labels"):
            (tmp_path / f"{part:02d}_{kind}.zip").write_bytes(b"garbage")
    dataset = open_dataset("cityscapes", tmp_path)
    train = dataset.split("train")
    assert len(train) == 2
    # road, bicycle, unlabelled, static; building twice, car, sidewalk
    assert train[0].labels.tolist() == [[0, 18, 255, 255], [2, 2, 13, 1]]
    assert [name.split("/")[0] for name in train.names] == ["aachen", "ulm"]
    assert len(dataset.split("val")) == 1
    with pytest.raises(DataError, match=r"0\d_(images|labels)\.zip"):
        open_dataset("gta5", tmp_path).split("train")


def test_gta5_takes_all_parts_or_those_that_are_chosen(tmp_path: Path) -> None:
    save_gta(tmp_path)
    whole = open_dataset("gta5", tmp_path).split("train")
    assert list(whole.names) == [f"{number:05d}" for number in range(1, 21)]
    assert whole[0].labels.tolist() == [[0, 0, 255, 255]] * 2  # 1x2 resized to 2x4; 34 is no class
    some = open_dataset("gta5?parts=2-3,10", tmp_path)
    assert list(some.split("train").names) == [f"{number:05d}" for number in (3, 4, 5, 6, 19, 20)]
    assert some.name == "gta5?parts=2-3,10"
    assert some.split("train").digest() != whole.digest()
    assert open_dataset("gta5?parts=1-10", tmp_path).split("train").digest() == whole.digest()
    (tmp_path / "02_labels.zip").rename(tmp_path / "02_labels.zip.part")
    (tmp_path / "07_images.zip").unlink()
    with pytest.raises(DataError) as caught:
        open_dataset("gta5", tmp_path).split("train")
    said = str(caught.value)
    assert "2 of 20 parts of gta5 not found" in said
    assert "there is no 02_labels.zip, 07_images.zip" in said
    assert "02_labels.zip.part is a download that did not finish" in said
    assert "visinf.tu-darmstadt.de" in said
    assert len(open_dataset("gta5?parts=1", tmp_path).split("train")) == 2
    with pytest.raises(DataError, match=r"score on another: eval_dataset=cityscapes"):
        open_dataset("gta5", tmp_path).split("val")


def test_parts_are_not_chosen_in_an_unpacked_folder(tmp_path: Path) -> None:
    files = {f"images/{number:05d}.png": PHOTO for number in (1, 2)}
    masks = {f"labels/{number:05d}.png": picture([[7, 8]]) for number in (1, 2)}
    save_folder(tmp_path / "GTA5", files | masks)
    whole = open_dataset("gta5", tmp_path).split("train")
    assert len(whole) == 2
    with pytest.raises(DataError, match="unpacked, parts cannot be told from one another"):
        open_dataset("gta5?parts=1", tmp_path).split("train")


@pytest.mark.parametrize("parts", ["0", "11", "3-1", "1-", "a", "1,,2", "1-2-3", ""])
def test_parts_that_do_not_exist(parts: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gta5 has no parts"):
        open_dataset(f"gta5?parts={parts}", tmp_path)


def test_options_of_others_are_refused(tmp_path: Path) -> None:
    for reference, text in (("ade20k?parts=1", "ade20k without options"), ("gta5?part=1", 'did you mean "parts"')):
        with pytest.raises(DataError, match=text):
            open_dataset(reference, tmp_path)


def test_what_gta5_is_known_to_lack_is_left_out_and_said(tmp_path: Path) -> None:
    save_gta(tmp_path, lost=("00003", "00019"))
    assert len(open_dataset("gta5", tmp_path).split("train")) == 18
    report = check_dataset("gta5", root=tmp_path)
    assert report.ok
    assert [len(split.left_out) for split in report.splits] == [2]
    assert any(
        "2 files without a partner are left out, such as images/00003.png has no mask" in n for n in report.notes
    )


def test_more_than_gta5_is_known_to_lack_is_an_error(tmp_path: Path) -> None:
    images = {f"images/{number:05d}.png": PHOTO for number in range(1, 28)}
    masks = {"labels/00001.png": picture([[7]])}
    save_folder(tmp_path / "gta5", images | masks)
    with pytest.raises(DataError, match="incomplete"):  # 26 without a mask
        open_dataset("gta5", tmp_path).split("train")
    (tmp_path / "gta5/images/00027.png").unlink()
    assert len(open_dataset("gta5", tmp_path).split("train")) == 1


# ---------------------------------------------------------------- where


def test_archives_come_before_folders_and_the_own_folder_before_the_root(tmp_path: Path) -> None:
    files = ade_files()
    save_folder(tmp_path, files)
    only_first = {name: content for name, content in files.items() if "00000001" in name}
    assert len(open_dataset("ade20k", tmp_path).split("val")) == 2
    save_zip(tmp_path / "ADEChallengeData2016.zip", only_first)
    assert len(open_dataset("ade20k", tmp_path).split("val")) == 1
    save_zip(tmp_path / "ADE20K/ADEChallengeData2016.zip", files)
    assert len(open_dataset("ade20k", tmp_path).split("val")) == 2


def test_the_environment_says_where_and_an_argument_overrides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_zip(tmp_path / "a/ADEChallengeData2016.zip", ade_files())
    monkeypatch.delenv("SEGRANK_DATA", raising=False)
    with pytest.raises(DataError, match=r"(?s)nothing says where ade20k lies.*--root FOLDER.*\$SEGRANK_DATA.*csail"):
        open_dataset("ade20k").split("train")
    monkeypatch.setenv("SEGRANK_DATA", str(tmp_path / "a"))
    assert len(open_dataset("ade20k").split("train")) == 2
    with pytest.raises(DataError, match="cannot be looked through"):
        open_dataset("ade20k", tmp_path / "b").split("train")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match=r"(?s)ade20k not found.*wanted: archives of these names, or unpacked"):
        open_dataset("ade20k", tmp_path / "b").split("train")


def test_near_misses_are_named(tmp_path: Path) -> None:
    def error() -> str:
        with pytest.raises(DataError) as caught:
            open_dataset("ade20k", tmp_path / "ADEChallengeData2016").split("val")
        return str(caught.value)

    folder = tmp_path / "ADEChallengeData2016"
    folder.mkdir()
    (folder / "ADEChallengeData2016 (1).zip").write_bytes(b"")
    (folder / "adechallengedata2016.tar.gz.crdownload").write_bytes(b"")
    (folder / "something else.zip").write_bytes(b"")
    assert "ADEChallengeData2016 (1).zip has another name" in error()
    assert "adechallengedata2016.tar.gz.crdownload is a download that did not finish" in error()
    assert "something else" not in error()
    assert f"{tmp_path} holds ADEChallengeData2016: give --root {tmp_path}" in error()
    with pytest.raises(DataError, match=r'did you mean "voc2012"'):
        open_dataset("VOC2012")


# ---------------------------------------------------------------- the real files


def by_hand(data: bytes, meaning: Callable[[int], int]) -> dict[int, int]:
    """Class -> pixels, of a mask as PIL reads it."""
    with Image.open(io.BytesIO(data)) as image:
        values, counts = np.unique(np.asarray(image), return_counts=True)
    found: dict[int, int] = {}
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        found[meaning(value)] = found.get(meaning(value), 0) + count
    return found


def counted(labels: NDArray[np.uint8]) -> dict[int, int]:
    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


TRAIN_IDS = dict(
    zip((7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33), range(19), strict=True)
)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("reference", "split", "archive", "member", "meaning"),
    [
        (
            "ade20k", "val", "ADEChallengeData2016.zip",
            "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png", lambda raw: raw - 1 if raw else IGNORE,
        ),
        (
            "voc2012", "val", "VOCtrainval_11-May-2012.zip",
            "VOCdevkit/VOC2012/SegmentationClass/2011_000025.png", lambda raw: raw,
        ),
        (
            "cityscapes", "val", "gtFine_trainvaltest.zip",
            "gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelIds.png", lambda raw: TRAIN_IDS.get(raw, IGNORE),
        ),
        ("gta5?parts=1-2", "train", "01_labels.zip", "labels/00001.png", lambda raw: TRAIN_IDS.get(raw, IGNORE)),
    ],
)  # fmt: skip
def test_real_labels_agree_with_a_count_by_hand(
    shared: Path, reference: str, split: str, archive: str, member: str, meaning: Callable[[int], int]
) -> None:
    root = shared / "data/official-layouts"
    samples = open_dataset(reference, root).split(split)
    stem = member.rsplit("/", 1)[-1].removesuffix(".png").removesuffix("_gtFine_labelIds")
    index = next(index for index, name in enumerate(samples.names) if name.endswith(stem))
    with zipfile.ZipFile(root / archive) as opened:
        assert counted(samples[index].labels) == by_hand(opened.read(member), meaning)


@pytest.mark.shared
def test_a_label_of_another_size_shows_the_whole_image(shared: Path) -> None:
    samples = open_dataset("gta5?parts=2", shared / "data/official-layouts").split("train")
    with zipfile.ZipFile(shared / "data/official-layouts/02_labels.zip") as archive:
        mask = np.asarray(Image.open(io.BytesIO(archive.read("labels/00005.png"))))
    sample = samples[1]
    height, width = sample.image.shape[:2]
    assert mask.shape != (height, width) == sample.labels.shape
    for row, column in ((0, 0), (height - 1, width - 1), (height // 2, width // 3)):
        raw = mask[row * mask.shape[0] // height, column * mask.shape[1] // width]
        assert sample.labels[row, column] == TRAIN_IDS.get(int(raw), IGNORE)


@pytest.mark.shared
def test_a_run_from_archives_is_that_from_folders_and_is_scored_on_another_dataset(
    shared: Path, tmp_path: Path
) -> None:
    archives = shared / "data/official-layouts"
    spec = RunSpec(
        encoder="small:plain", weights="random", dataset="gta5?parts=1-2", eval_dataset="cityscapes", crop=(32, 32),
        patch_size=8, steps=2, batch_size=2,
    )  # fmt: skip

    class Listener:
        def __init__(self) -> None:
            self.said: list[str] = []

        def say(self, text: str) -> None:
            self.said.append(text)

        def advance(self, work: str, done: int, total: int, note: str = "") -> None:
            pass

    listener = Listener()
    record = run(spec, store=tmp_path / "store", root=archives, device="cpu", reporter=listener)
    assert record.status == "ok"
    assert record.evaluation is not None
    assert (record.evaluation.dataset, record.evaluation.images) == ("cityscapes", 1)
    assert "/data" not in str(record.identity)
    assert f"cityscapes val: 1 of 500 images in {archives / 'leftImg8bit_trainvaltest.zip'} and 1 more" in listener.said

    spec = spec.replace(dataset="voc2012", eval_dataset="", eval_split="val")
    first = run(spec, store=tmp_path / "store", root=archives, device="cpu")
    with zipfile.ZipFile(archives / "VOCtrainval_11-May-2012.zip") as archive:
        save_folder(tmp_path / "data", {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"})
    again = run(spec, store=tmp_path / "store", root=tmp_path / "data", device="cpu")
    assert (again.key, again.attempt) == (first.key, first.attempt)  # found, not redone
    evaluation = evaluate_run(Store(tmp_path / "store"), again, split="train", root=tmp_path / "data")
    assert evaluation.images == 2
