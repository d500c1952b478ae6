"""PASCAL VOC 2012, segmentation: the twenty classes of the challenge and the background."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.official import Card, Official, Part

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

_FOLDER = "VOCdevkit/VOC2012"


def _files(split: str) -> SplitFiles:
    return SplitFiles(
        list=f"{_FOLDER}/ImageSets/Segmentation/{split}.txt",
        images=_FOLDER + "/JPEGImages/{}.jpg",
        masks=_FOLDER + "/SegmentationClass/{}.png",
    )


VOC2012 = Official(
    Definition(
        name="voc2012",
        classes=CLASSES,
        ignore=(255,),  # borders of objects, and what is hard to tell
        splits={"train": _files("train"), "val": _files("val")},
    ),
    parts=(
        Part(("VOCtrainval_11-May-2012.tar", "VOCtrainval_11-May-2012.zip"), unpacked=_FOLDER, splits=("train", "val")),
    ),
    card=Card(
        title="PASCAL VOC 2012, segmentation",
        about="Photographs with objects of twenty classes before a background, which is scored too. "
        "The challenge's own train, not the trainaug with the masks of SBD.",
        home="http://host.robots.ox.ac.uk/pascal/VOC/voc2012 (VOCtrainval_11-May-2012.tar, 2 GB, no registration)",
        licence="images from Flickr, under Flickr's terms of use; no licence is stated for the masks",
        paper="Everingham et al. 2015, doi:10.1007/s11263-014-0733-5",
        images={"train": 1_464, "val": 1_449},
        protocol={"steps": "20000"},
    ),
)
