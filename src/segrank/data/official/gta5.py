"""GTA V (Playing for Data): frames of a computer game with the labels of Cityscapes, to train on for real streets."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.cityscapes import CLASS_IDS
from segrank.data.official.official import Card, Official, Part

PARTS = range(1, 11)


def _part(number: int, kind: str) -> Part:
    # All archives unpack into the same two folders; the first image is a name that no other dataset has there.
    return Part((f"{number:02d}_{kind}.zip",), unpacked=f"{kind}/00001.png", splits=("train",), number=number)


GTA5 = Official(
    Definition(
        name="gta5",
        classes=tuple(CLASS_IDS.values()),
        ids=dict(CLASS_IDS),
        ignore=tuple(sorted(set(range(256)) - CLASS_IDS.keys())),  # no list of the others is published
        resize_labels=True,  # the makers name 60 frames whose label map has another size
        splits={"train": SplitFiles(images="images/*.png", masks="labels/*.png")},
    ),
    parts=tuple(_part(number, kind) for number in PARTS for kind in ("images", "labels")),
    card=Card(
        title="GTA V, Playing for Data",
        about="Frames of the game at 1914x1052, by day and night, labelled as Cityscapes is. "
        "Only train: score on cityscapes.",
        home="https://download.visinf.tu-darmstadt.de/data/from_games (twenty archives, 57 GB, no registration)",
        licence="research and education only",
        paper="Richter et al. 2016, arXiv 1608.02192",
        images={"train": 24_966},
        protocol={"eval_dataset": "cityscapes", "crop": "1024", "steps": "20000"},
    ),
    # 24,941 pairs instead of 24,966 are reported (GitHub: bupt-ai-cz/IAST-ECCV2020, issue 2)
    unpaired=25,
)
