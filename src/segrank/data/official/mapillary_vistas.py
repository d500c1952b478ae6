"""Mapillary Vistas, labels of v1.2: streets all over the world from all kinds of cameras, 65 classes."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.official import Card, Official, Part

# Order of the label list in config_v1.2.json. Its 66th and last entry, "Unlabeled", is no class.
CLASSES = (
    "Bird", "Ground Animal", "Curb", "Fence", "Guard Rail", "Barrier", "Wall", "Bike Lane", "Crosswalk - Plain",
    "Curb Cut", "Parking", "Pedestrian Area", "Rail Track", "Road", "Service Lane", "Sidewalk", "Bridge", "Building",
    "Tunnel", "Person", "Bicyclist", "Motorcyclist", "Other Rider", "Lane Marking - Crosswalk",
    "Lane Marking - General", "Mountain", "Sand", "Sky", "Snow", "Terrain", "Vegetation", "Water", "Banner", "Bench",
    "Bike Rack", "Billboard", "Catch Basin", "CCTV Camera", "Fire Hydrant", "Junction Box", "Mailbox", "Manhole",
    "Phone Booth", "Pothole", "Street Light", "Pole", "Traffic Sign Frame", "Utility Pole", "Traffic Light",
    "Traffic Sign (Back)", "Traffic Sign (Front)", "Trash Can", "Bicycle", "Boat", "Bus", "Car", "Caravan",
    "Motorcycle", "On Rails", "Other Vehicle", "Trailer", "Truck", "Wheeled Slow", "Car Mount", "Ego Vehicle",
)  # fmt: skip

UNLABELED = len(CLASSES)


def _files(folder: str) -> SplitFiles:
    # v2.0's archive holds both label sets. v1.2's is the one that results are published on.
    return SplitFiles(images=f"{folder}/images/*.jpg", masks=f"{folder}/v1.2/labels/*.png")


MAPILLARY_VISTAS = Official(
    Definition(
        name="mapillary_vistas",
        classes=CLASSES,
        ignore=(UNLABELED,),
        splits={"train": _files("training"), "val": _files("validation")},
    ),
    parts=(
        Part(("mapillary-vistas-dataset_public_v2.0.zip",), unpacked="training/v1.2/labels", splits=("train", "val")),
    ),
    card=Card(
        title="Mapillary Vistas, labels of v1.2",
        about="Streets on six continents in all weathers and seasons, by phones, tablets, action and other cameras.",
        home="https://www.mapillary.com/dataset/vistas (mapillary-vistas-dataset_public_v2.0.zip, after registration)",
        licence="CC BY-NC-SA 4.0; research only, under the terms in the archive",
        paper="Neuhold et al. 2017, doi:10.1109/ICCV.2017.534",
        images={"train": 18_000, "val": 2_000},
    ),
)
