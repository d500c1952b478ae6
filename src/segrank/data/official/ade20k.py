"""ADE20K as the scene parsing challenge of 2016 published it: 150 classes, indoors and out."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.official import Card, Official, Part

# Index order is that of objectInfo150.txt in the archive; of its synonyms each name is the first.
CLASSES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet", "sidewalk",
    "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting", "sofa",
    "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp",
    "bathtub", "railing", "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand",
    "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table",
    "pillow", "screen door", "stairway", "river", "bridge", "bookcase", "blind", "coffee table", "toilet", "flower",
    "book", "hill", "bench", "countertop", "stove", "palm", "kitchen island", "computer", "swivel chair", "boat",
    "bar", "arcade machine", "hovel", "bus", "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight",
    "booth", "television", "airplane", "dirt track", "apparel", "pole", "land", "bannister", "escalator", "ottoman",
    "bottle", "buffet", "poster", "stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything",
    "swimming pool", "stool", "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball",
    "food", "step", "tank", "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen",
    "blanket", "sculpture", "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen",
    "plate", "monitor", "bulletin board", "shower", "radiator", "glass", "clock", "flag",
)  # fmt: skip


def _files(folder: str) -> SplitFiles:
    return SplitFiles(
        images=f"ADEChallengeData2016/images/{folder}/*.jpg", masks=f"ADEChallengeData2016/annotations/{folder}/*.png"
    )


ADE20K = Official(
    Definition(
        name="ade20k",
        classes=CLASSES,
        ids={index + 1: index for index in range(len(CLASSES))},
        ignore=(0,),  # what was given none of the 150 names
        splits={"train": _files("training"), "val": _files("validation")},
    ),
    parts=(Part(("ADEChallengeData2016.zip",), unpacked="ADEChallengeData2016", splits=("train", "val")),),
    card=Card(
        title="ADE20K, MIT Scene Parsing Benchmark",
        about="Everyday scenes indoors and outdoors, each pixel one of 150 kinds of stuff and things.",
        home="http://sceneparsing.csail.mit.edu (ADEChallengeData2016.zip, 0.9 GB, no registration)",
        licence="images: non-commercial research and education only; annotations and software: BSD 3-Clause",
        paper="Zhou et al. 2017, doi:10.1109/CVPR.2017.544; arXiv 1608.05442",
        images={"train": 20_210, "val": 2_000},
    ),
)
