"""LoveDA: land cover from above, in three Chinese cities and the country around them, 7 classes."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.official import Card, Official, Part

CLASSES = ("background", "building", "road", "water", "barren", "forest", "agriculture")

IMAGES = {
    "train": 2_522, "train-urban": 1_156, "train-rural": 1_366,
    "val": 1_669, "val-urban": 677, "val-rural": 992,
}  # fmt: skip


def _files(folder: str, scene: str) -> SplitFiles:
    return SplitFiles(images=f"{folder}/{scene}/images_png/*.png", masks=f"{folder}/{scene}/masks_png/*.png")


def _splits(split: str, folder: str) -> dict[str, SplitFiles]:
    scenes = {"": "*", "-urban": "Urban", "-rural": "Rural"}
    return {split + ending: _files(folder, scene) for ending, scene in scenes.items()}


def _part(split: str, folder: str) -> Part:
    return Part((f"{folder}.zip",), unpacked=f"{folder}/Urban/masks_png", splits=tuple(_splits(split, folder)))


LOVEDA = Official(
    Definition(
        name="loveda",
        classes=CLASSES,
        ids={index + 1: index for index in range(len(CLASSES))},
        ignore=(0,),  # no data
        splits=_splits("train", "Train") | _splits("val", "Val"),
    ),
    parts=(_part("train", "Train"), _part("val", "Val")),
    card=Card(
        title="LoveDA, Land-cOVEr Domain Adaptive semantic segmentation",
        about="Views from above of Nanjing, Changzhou and Wuhan at 0.3 m per pixel, 1024x1024; urban and rural scenes "
        "apart, to train on one and score on the other.",
        home="https://zenodo.org/records/5706578 (Train.zip and Val.zip, no registration)",
        licence="CC BY-NC-SA 4.0; images from Google Earth, under its terms of use",
        paper="Wang et al. 2021, arXiv 2110.08733",
        images=IMAGES,
    ),
)
