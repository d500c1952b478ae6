"""COCO-Stuff (164k): all of COCO's 2017 images with things and stuff in one map, 171 classes."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.official import Card, Official, Part

# Names and order are those of labels.txt (github.com/nightrome/cocostuff): 80 things, then 91 kinds of stuff.
CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
    "banner", "blanket", "branch", "bridge", "building-other", "bush", "cabinet", "cage", "cardboard", "carpet",
    "ceiling-other", "ceiling-tile", "cloth", "clothes", "clouds", "counter", "cupboard", "curtain", "desk-stuff",
    "dirt", "door-stuff", "fence", "floor-marble", "floor-other", "floor-stone", "floor-tile", "floor-wood", "flower",
    "fog", "food-other", "fruit", "furniture-other", "grass", "gravel", "ground-other", "hill", "house", "leaves",
    "light", "mat", "metal", "mirror-stuff", "moss", "mountain", "mud", "napkin", "net", "paper", "pavement", "pillow",
    "plant-other", "plastic", "platform", "playingfield", "railing", "railroad", "river", "road", "rock", "roof",
    "rug", "salad", "sand", "sea", "shelf", "sky-other", "skyscraper", "snow", "solid-other", "stairs", "stone",
    "straw", "structural-other", "table", "tent", "textile-other", "towel", "tree", "vegetable", "wall-brick",
    "wall-concrete", "wall-other", "wall-panel", "wall-stone", "wall-tile", "wall-wood", "water-other", "waterdrops",
    "window-blind", "window-other", "wood",
)  # fmt: skip

# An id in the maps is the number in labels.txt less one, 0 to 181. Eleven of COCO's 91 things were never drawn: street
# sign, hat, shoe, eye glasses, plate, mirror, window, desk, door, blender and hair brush.
NEVER_DRAWN = frozenset({11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90})


def _files(split: str) -> SplitFiles:
    return SplitFiles(images=f"{split}/*.jpg", masks=f"{split}/*.png")


COCO_STUFF = Official(
    Definition(
        name="coco_stuff",
        classes=CLASSES,
        ids=dict(zip(sorted(set(range(182)) - NEVER_DRAWN), CLASSES, strict=True)),
        ignore=(255,),  # unlabelled
        splits={"train": _files("train2017"), "val": _files("val2017")},
    ),
    # Images and maps lie in folders of the same names: unpacked they are known by the first file of each.
    parts=(
        Part(("train2017.zip",), unpacked="train2017/000000000009.jpg", splits=("train",)),
        Part(("val2017.zip",), unpacked="val2017/000000000139.jpg", splits=("val",)),
        Part(("stuffthingmaps_trainval2017.zip",), unpacked="val2017/000000000139.png", splits=("train", "val")),
    ),
    card=Card(
        title="COCO-Stuff, all of COCO 2017",
        about="Everyday scenes with many objects, each pixel one of 80 kinds of things or 91 kinds of stuff.",
        home="https://github.com/nightrome/cocostuff#downloads (three archives, 18, 1 and 0.7 GB, no registration)",
        licence="images: Flickr's terms of use; annotations: CC BY 4.0",
        paper="Caesar et al. 2018, arXiv 1612.03716",
        images={"train": 118_287, "val": 5_000},
    ),
)
