"""Cityscapes with its fine annotations: German streets from a car, 19 classes."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.official import Card, Official, Part

# Label id in the files -> class; the order of the classes is that of the train ids (cityscapesScripts, labels.py).
CLASS_IDS = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck",
    28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip

# Unlabeled, ego vehicle, parking and the like. A licence plate, id -1, is in no file: the makers' script draws no
# polygon of a negative id (json2labelImg.py), so its pixels are what lies under it, mostly car.
IGNORED_IDS = tuple(sorted(set(range(34)) - CLASS_IDS.keys()))


def _files(split: str) -> SplitFiles:
    return SplitFiles(
        images=f"leftImg8bit/{split}/*/*_leftImg8bit.png", masks=f"gtFine/{split}/*/*_gtFine_labelIds.png"
    )


CITYSCAPES = Official(
    Definition(
        name="cityscapes",
        classes=tuple(CLASS_IDS.values()),
        ids=dict(CLASS_IDS),
        ignore=IGNORED_IDS,
        splits={"train": _files("train"), "val": _files("val")},
    ),
    parts=(
        Part(("leftImg8bit_trainvaltest.zip",), unpacked="leftImg8bit", splits=("train", "val")),
        Part(("gtFine_trainvaltest.zip",), unpacked="gtFine", splits=("train", "val")),
    ),
    card=Card(
        title="Cityscapes, fine annotations",
        about="Streets of cities in and near Germany by day, seen from a car at 2048x1024.",
        home="https://www.cityscapes-dataset.com (two archives, 11 GB and 0.2 GB, after registration)",
        licence="its own: non-commercial only, no redistribution",
        paper="Cordts et al. 2016, arXiv 1604.01685",
        images={"train": 2_975, "val": 500},
        protocol={"crop": "1024", "steps": "20000"},
    ),
)
