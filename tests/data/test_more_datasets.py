"""The datasets beside the paper's four, in archives laid out as their makers document them. Contents are generated."""

from __future__ import annotations

import io
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segrank.data import IGNORE, open_dataset
from segrank.data.official import OFFICIAL
from segrank.errors import DataError


@dataclass(frozen=True)
class Published:
    """A dataset as it is published, but small: each mask is one row of pixels with all of `ids` and `ignored`."""

    archives: dict[str, tuple[str, ...]]
    """Members by archive, among them some that do not belong to the task."""
    mask: str
    """A part of the path by which a mask is known."""
    names: dict[str, list[str]]
    """Of the samples by split, in order."""
    classes: int
    ids: dict[int, tuple[int, str]]
    """Raw id -> label and class name: first, last, and around gaps."""
    ignored: tuple[int, ...] = ()
    lists: dict[str, str] = field(default_factory=dict)
    """Content of members that are text."""
    palette: bool = False
    """Whether masks are published with a palette. Otherwise they are grey."""

    def content(self, member: str) -> bytes:
        if member in self.lists:
            return self.lists[member].encode()
        if not member.endswith((".jpg", ".png")):
            return b"something else"
        raw = np.array([[*self.ids, *self.ignored]], dtype=np.uint8)
        image = Image.fromarray(raw) if self.mask in member else Image.new("RGB", raw.shape[::-1], (90, 120, 30))
        if self.palette and self.mask in member:
            image.putpalette([200 - value // 8 for value in range(768)])
        stream = io.BytesIO()
        image.save(stream, "JPEG" if member.endswith(".jpg") else "PNG")
        return stream.getvalue()

    def save(self, folder: Path, only: tuple[str, ...] = ()) -> None:
        for name in only or self.archives:
            if name.endswith(".zip"):
                with zipfile.ZipFile(folder / name, "w") as archive:
                    for member in self.archives[name]:
                        archive.writestr(member, self.content(member))
                continue
            with tarfile.open(folder / name, "w") as tar:
                for member in self.archives[name]:
                    entry = tarfile.TarInfo(member)
                    entry.size = len(self.content(member))
                    tar.addfile(entry, io.BytesIO(self.content(member)))

    def save_unpacked(self, folder: Path) -> None:
        for member in (member for members in self.archives.values() for member in members):
            path = folder / member
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.content(member))


_STREETS = {0: (0, "road"), 1: (1, "sidewalk"), 18: (18, "bicycle")}

PUBLISHED = {
    "coco_stuff": Published(
        archives={
            "train2017.zip": ("train2017/000000000025.jpg", "train2017/000000000009.jpg"),
            "val2017.zip": ("val2017/000000000139.jpg",),
            "stuffthingmaps_trainval2017.zip": (
                "train2017/000000000009.png",
                "train2017/000000000025.png",
                "val2017/000000000139.png",
            ),
        },
        mask=".png",
        names={"train": ["000000000009", "000000000025"], "val": ["000000000139"]},
        classes=171,
        # 11 (street sign) and 90 (hair brush) are numbers that no map holds
        ids={
            0: (0, "person"),
            10: (10, "fire hydrant"),
            12: (11, "stop sign"),
            89: (79, "toothbrush"),
            91: (80, "banner"),
            181: (170, "wood"),
        },
        ignored=(255,),
    ),
    "pascal_context": Published(
        archives={
            "VOCtrainval_03-May-2010.tar": (
                "VOCdevkit/VOC2010/ImageSets/Main/train.txt",
                "VOCdevkit/VOC2010/ImageSets/Main/val.txt",
                "VOCdevkit/VOC2010/ImageSets/Segmentation/train.txt",
                "VOCdevkit/VOC2010/JPEGImages/2008_000008.jpg",
                "VOCdevkit/VOC2010/JPEGImages/2008_000002.jpg",
                "VOCdevkit/VOC2010/JPEGImages/2008_000003.jpg",
                "VOCdevkit/VOC2010/JPEGImages/2007_000027.jpg",
            ),
            "59_context_labels.tar": (
                "59_context_labels/2008_000002.png",
                "59_context_labels/2008_000003.png",
                "59_context_labels/2008_000008.png",
            ),
        },
        mask="59_context_labels/",
        lists={
            "VOCdevkit/VOC2010/ImageSets/Main/train.txt": "2008_000008\n2008_000003\n",
            "VOCdevkit/VOC2010/ImageSets/Main/val.txt": "2008_000002\n",
            "VOCdevkit/VOC2010/ImageSets/Segmentation/train.txt": "2007_000027\n",
        },
        names={"train": ["2008_000008", "2008_000003"], "val": ["2008_000002"]},
        classes=59,
        ids={1: (0, "aeroplane"), 15: (14, "person"), 42: (41, "curtain"), 59: (58, "wood")},
        ignored=(0,),
    ),
    "mapillary_vistas": Published(
        archives={
            "mapillary-vistas-dataset_public_v2.0.zip": (
                "README",
                "config_v1.2.json",
                "training/images/aa.jpg",
                "training/images/-b.jpg",
                "training/v1.2/labels/aa.png",
                "training/v1.2/labels/-b.png",
                "training/v1.2/instances/aa.png",
                "training/v2.0/labels/aa.png",
                "training/v2.0/labels/-b.png",
                "validation/images/cc.jpg",
                "validation/v1.2/labels/cc.png",
                "validation/v1.2/panoptic/cc.png",
                "testing/images/dd.jpg",
            ),
        },
        mask="/labels/",
        palette=True,
        names={"train": ["-b", "aa"], "val": ["cc"]},
        classes=65,
        ids={0: (0, "Bird"), 13: (13, "Road"), 55: (55, "Car"), 64: (64, "Ego Vehicle")},
        ignored=(65,),
    ),
    "bdd100k": Published(
        archives={
            "bdd100k_images_10k.zip": (
                "bdd100k/images/10k/train/0004a4c0-d4dff0ad.jpg",
                "bdd100k/images/10k/val/7d06fefd-f7be05a6.jpg",
                "bdd100k/images/10k/test/ac517380-00000000.jpg",
            ),
            "bdd100k_sem_seg_labels_trainval.zip": (
                "bdd100k/labels/sem_seg/masks/train/0004a4c0-d4dff0ad.png",
                "bdd100k/labels/sem_seg/masks/val/7d06fefd-f7be05a6.png",
                "bdd100k/labels/sem_seg/colormaps/val/7d06fefd-f7be05a6.png",
                "bdd100k/labels/sem_seg/polygons/sem_seg_val.json",
            ),
        },
        mask="/masks/",
        names={"train": ["0004a4c0-d4dff0ad"], "val": ["7d06fefd-f7be05a6"]},
        classes=19,
        ids=_STREETS,
        ignored=(255,),
    ),
    "acdc": Published(
        archives={
            "rgb_anon_trainvaltest.zip": (
                "rgb_anon/fog/train/GOPR0475/GOPR0475_frame_000041_rgb_anon.png",
                "rgb_anon/fog/train_ref/GOPR0475/GOPR0475_frame_000041_rgb_ref_anon.png",
                "rgb_anon/night/train/GOPR0351/GOPR0351_frame_000001_rgb_anon.png",
                "rgb_anon/night/val/GOPR0356/GOPR0356_frame_000324_rgb_anon.png",
                "rgb_anon/rain/train/GOPR0400/GOPR0400_frame_000020_rgb_anon.png",
                "rgb_anon/snow/train/GOPR0122/GOPR0122_frame_000161_rgb_anon.png",
                "rgb_anon/snow/val/GOPR0604/GOPR0604_frame_000001_rgb_anon.png",
                "rgb_anon/snow/test/GOPR0176/GOPR0176_frame_000001_rgb_anon.png",
            ),
            "gt_trainval.zip": (
                "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_labelTrainIds.png",
                "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_labelIds.png",
                "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_labelColor.png",
                "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_invIds.png",
                "gt/night/train/GOPR0351/GOPR0351_frame_000001_gt_labelTrainIds.png",
                "gt/night/val/GOPR0356/GOPR0356_frame_000324_gt_labelTrainIds.png",
                "gt/rain/train/GOPR0400/GOPR0400_frame_000020_gt_labelTrainIds.png",
                "gt/snow/train/GOPR0122/GOPR0122_frame_000161_gt_labelTrainIds.png",
                "gt/snow/val/GOPR0604/GOPR0604_frame_000001_gt_labelTrainIds.png",
            ),
        },
        mask="_gt_labelTrainIds",
        names={
            "train": [
                "fog/GOPR0475/GOPR0475_frame_000041",
                "night/GOPR0351/GOPR0351_frame_000001",
                "rain/GOPR0400/GOPR0400_frame_000020",
                "snow/GOPR0122/GOPR0122_frame_000161",
            ],
            "val": ["night/GOPR0356/GOPR0356_frame_000324", "snow/GOPR0604/GOPR0604_frame_000001"],
            "train-fog": ["GOPR0475/GOPR0475_frame_000041"],
            "train-rain": ["GOPR0400/GOPR0400_frame_000020"],
            "val-night": ["GOPR0356/GOPR0356_frame_000324"],
            "val-snow": ["GOPR0604/GOPR0604_frame_000001"],
        },
        classes=19,
        ids=_STREETS,
        ignored=(255,),
    ),
    "loveda": Published(
        archives={
            "Train.zip": (
                "Train/Urban/images_png/1366.png",
                "Train/Urban/masks_png/1366.png",
                "Train/Rural/images_png/0.png",
                "Train/Rural/images_png/1.png",
                "Train/Rural/masks_png/0.png",
                "Train/Rural/masks_png/1.png",
            ),
            "Val.zip": (
                "Val/Urban/images_png/3514.png",
                "Val/Urban/masks_png/3514.png",
                "Val/Rural/images_png/2522.png",
                "Val/Rural/masks_png/2522.png",
            ),
        },
        mask="/masks_png/",
        names={
            "train": ["Rural/0", "Rural/1", "Urban/1366"],
            "train-urban": ["1366"],
            "train-rural": ["0", "1"],
            "val": ["Rural/2522", "Urban/3514"],
            "val-urban": ["3514"],
            "val-rural": ["2522"],
        },
        classes=7,
        ids={1: (0, "background"), 2: (1, "building"), 7: (6, "agriculture")},
        ignored=(0,),
    ),
    "isic2017": Published(
        archives={
            "ISIC-2017_Training_Data.zip": (
                "ISIC-2017_Training_Data/ISIC_0000000.jpg",
                "ISIC-2017_Training_Data/ISIC_0000000_superpixels.png",
                "ISIC-2017_Training_Data/ISIC-2017_Training_Data_metadata.csv",
            ),
            "ISIC-2017_Training_Part1_GroundTruth.zip": (
                "ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png",
            ),
            "ISIC-2017_Validation_Data.zip": ("ISIC-2017_Validation_Data/ISIC_0001769.jpg",),
            "ISIC-2017_Validation_Part1_GroundTruth.zip": (
                "ISIC-2017_Validation_Part1_GroundTruth/ISIC_0001769_segmentation.png",
            ),
            "ISIC-2017_Test_v2_Data.zip": ("ISIC-2017_Test_v2_Data/ISIC_0012086.jpg",),
            "ISIC-2017_Test_v2_Part1_GroundTruth.zip": (
                "ISIC-2017_Test_v2_Part1_GroundTruth/ISIC_0012086_segmentation.png",
            ),
        },
        mask="_segmentation",
        names={"train": ["ISIC_0000000"], "val": ["ISIC_0001769"], "test": ["ISIC_0012086"]},
        classes=2,
        ids={0: (0, "background"), 255: (1, "lesion")},
    ),
}

each = pytest.mark.parametrize("name", PUBLISHED)


@each
@pytest.mark.parametrize("packed", [True, False], ids=["archives", "unpacked"])
def test_reads_the_documented_layout(name: str, packed: bool, tmp_path: Path) -> None:
    published = PUBLISHED[name]
    if packed:
        published.save(tmp_path)
    else:
        published.save_unpacked(tmp_path)
    dataset = open_dataset(name, root=tmp_path)
    assert dataset.name == name
    expected = [label for label, _ in published.ids.values()] + [IGNORE] * len(published.ignored)
    for split_name, names in published.names.items():
        split = dataset.split(split_name)
        assert list(split.names) == names
        for index, sample_name in enumerate(names):
            sample = split[index]
            assert sample.name == sample_name
            assert sample.labels.tolist() == [expected]
            assert sample.image.shape == (1, len(expected), 3)
    for label, class_name in published.ids.values():
        assert dataset.classes[label] == class_name


@each
def test_each_class_has_one_id(name: str) -> None:
    definition, published = OFFICIAL[name].definition, PUBLISHED[name]
    labels = [label for _, label in definition.mapping().pairs]
    assert sorted(label for label in labels if label != IGNORE) == list(range(published.classes))
    assert labels.count(IGNORE) == len(published.ignored)
    assert len(set(definition.classes)) == len(definition.classes) == published.classes


@pytest.mark.parametrize("name", ["acdc", "loveda"])
def test_conditions_and_scenes_add_up_to_their_split(name: str) -> None:
    images = OFFICIAL[name].card.images
    for whole in ("train", "val"):
        assert sum(count for split, count in images.items() if split.startswith(f"{whole}-")) == images[whole]


def test_streets_share_the_classes_of_cityscapes() -> None:
    """So that a model trained on the one can be scored on the others."""
    for name in ("bdd100k", "acdc", "gta5"):
        assert OFFICIAL[name].definition.classes == OFFICIAL["cityscapes"].definition.classes


def test_a_split_needs_its_own_archives_only(tmp_path: Path) -> None:
    PUBLISHED["loveda"].save(tmp_path, only=("Val.zip",))
    assert len(open_dataset("loveda", root=tmp_path).split("val-urban")) == 1


def test_masks_that_are_still_gzipped_are_told(tmp_path: Path) -> None:
    PUBLISHED["pascal_context"].save(tmp_path, only=("VOCtrainval_03-May-2010.tar",))
    (tmp_path / "59_context_labels.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match=r"59_context_labels\.tar\.gz has another name(?s:.)*gunzip"):
        open_dataset("pascal_context", root=tmp_path).split("val")


def test_bdd100k_from_the_archives_per_split(tmp_path: Path) -> None:
    published = PUBLISHED["bdd100k"]
    published.save(tmp_path, only=("bdd100k_sem_seg_labels_trainval.zip",))
    for split in ("train", "val"):
        members = [member for member in published.archives["bdd100k_images_10k.zip"] if f"/{split}/" in member]
        with zipfile.ZipFile(tmp_path / f"10k_images_{split}.zip", "w") as archive:
            archive.writestr(members[0], published.content(members[0]))
    dataset = open_dataset("bdd100k", root=tmp_path)
    for split, names in published.names.items():
        assert list(dataset.split(split).names) == names
