"""BDD100K, semantic segmentation on its 10,000 images: frames of drives, the 19 classes of Cityscapes."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.cityscapes import CLASS_IDS
from segrank.data.official.official import Card, Official, Part

_IMAGES = "bdd100k/images/10k"
_MASKS = "bdd100k/labels/sem_seg/masks"


def _files(split: str) -> SplitFiles:
    return SplitFiles(images=f"{_IMAGES}/{split}/*.jpg", masks=f"{_MASKS}/{split}/*.png")


def _images(split: str) -> Part:
    # One archive from the portal, or one per split from the mirror at ETH.
    return Part(("bdd100k_images_10k.zip", f"10k_images_{split}.zip"), unpacked=f"{_IMAGES}/{split}", splits=(split,))


BDD100K = Official(
    Definition(
        name="bdd100k",
        classes=tuple(CLASS_IDS.values()),
        ignore=(255,),  # unknown
        splits={"train": _files("train"), "val": _files("val")},
    ),
    parts=(
        _images("train"),
        _images("val"),
        Part(("bdd100k_sem_seg_labels_trainval.zip",), unpacked=_MASKS, splits=("train", "val")),
    ),
    card=Card(
        title="BDD100K, semantic segmentation",
        about="Frames of drives by day and night, in all weathers, in cities and on motorways.",
        home="https://bdd-data.berkeley.edu (10K Images, 1.1 GB, and Segmentation, 0.4 GB, after registration)",
        licence="its own: education, research and not-for-profit; commercial use only for members of BDD",
        paper="Yu et al. 2020, arXiv 1805.04687",
        images={"train": 7_000, "val": 1_000},
    ),
)
