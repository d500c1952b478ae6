"""PASCAL Context: the images of VOC 2010 with the whole scene labelled, the usual 59 classes."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.official import Card, Official, Part

# Order of 59_labels.txt, which lies beside the masks on the download page.
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "table", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor", "bag", "bed", "bench", "book",
    "building", "cabinet", "ceiling", "cloth", "computer", "cup", "door", "fence", "floor", "flower", "food", "grass",
    "ground", "keyboard", "light", "mountain", "mouse", "curtain", "platform", "sign", "plate", "road", "rock",
    "shelves", "sidewalk", "sky", "snow", "bedclothes", "track", "tree", "truck", "wall", "water", "window", "wood",
)  # fmt: skip

_FOLDER = "VOCdevkit/VOC2010"


def _files(split: str) -> SplitFiles:
    # The challenge's main lists, not those for segmentation: every image of VOC 2010 got a mask.
    return SplitFiles(
        list=f"{_FOLDER}/ImageSets/Main/{split}.txt",
        images=_FOLDER + "/JPEGImages/{}.jpg",
        masks="59_context_labels/{}.png",
    )


PASCAL_CONTEXT = Official(
    Definition(
        name="pascal_context",
        classes=CLASSES,
        ids={index + 1: index for index in range(len(CLASSES))},
        ignore=(0,),  # the other 400 classes and what has none: a rest, not a background to be learnt
        splits={"train": _files("train"), "val": _files("val")},
    ),
    parts=(
        Part(("VOCtrainval_03-May-2010.tar",), unpacked=_FOLDER, splits=("train", "val")),
        # Published as .tar.gz, in which no file can be found without unpacking all.
        Part(("59_context_labels.tar",), unpacked="59_context_labels", splits=("train", "val")),
    ),
    card=Card(
        title="PASCAL Context, 59 classes",
        about="Photographs of VOC 2010, things and surroundings labelled; the 59 most frequent of 459 classes count, "
        "the rest is ignored.",
        home="https://cs.stanford.edu/~roozbeh/pascal-context (59_context_labels.tar.gz: gunzip or unpack it) and "
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2010 (VOCtrainval_03-May-2010.tar, 1.3 GB), no registration",
        licence="images from Flickr, under Flickr's terms of use",
        paper="Mottaghi et al. 2014, The Role of Context for Object Detection and Semantic Segmentation in the Wild "
        "(CVPR)",
        images={"train": 4_998, "val": 5_105},
    ),
)
