"""ISIC 2017, part 1: the outline of skin lesions under the dermatoscope, lesion against the rest."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.official import Card, Official, Part

# Names of the archives and, within them, of the only folder.
_FOLDERS = {"train": "ISIC-2017_Training", "val": "ISIC-2017_Validation", "test": "ISIC-2017_Test_v2"}


def _files(folder: str) -> SplitFiles:
    # Beside the images lie superpixels as PNG.
    return SplitFiles(images=f"{folder}_Data/*.jpg", masks=f"{folder}_Part1_GroundTruth/*_segmentation.png")


def _part(name: str, split: str) -> Part:
    return Part((f"{name}.zip",), unpacked=name, splits=(split,))


ISIC2017 = Official(
    Definition(
        name="isic2017",
        classes=("background", "lesion"),
        ids={0: "background", 255: "lesion"},
        splits={split: _files(folder) for split, folder in _FOLDERS.items()},
    ),
    parts=tuple(
        _part(f"{folder}_{kind}", split) for split, folder in _FOLDERS.items() for kind in ("Data", "Part1_GroundTruth")
    ),
    card=Card(
        title="ISIC 2017, lesion segmentation",
        about="Dermatoscopic images of skin lesions, each lesion outlined by a clinician; image sizes vary widely.",
        home="https://challenge.isic-archive.com/data/#2017 (an archive of images and one of masks per split)",
        licence="CC0 1.0",
        paper="Codella et al. 2017, arXiv 1710.05006",
        images={"train": 2_000, "val": 150, "test": 600},
    ),
)
