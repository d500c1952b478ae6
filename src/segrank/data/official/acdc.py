"""ACDC, the Adverse Conditions Dataset: streets in fog, at night, in rain and in snow, the 19 classes of Cityscapes."""

from __future__ import annotations

from segrank.data.definition import Definition, SplitFiles
from segrank.data.official.cityscapes import CLASS_IDS
from segrank.data.official.official import Card, Official, Part

CONDITIONS = ("fog", "night", "rain", "snow")

IMAGES = {
    "train": 1_600, "train-fog": 400, "train-night": 400, "train-rain": 400, "train-snow": 400,
    "val": 406, "val-fog": 100, "val-night": 106, "val-rain": 100, "val-snow": 100,
}  # fmt: skip


def _files(split: str, condition: str) -> SplitFiles:
    # The reference images of the same places in fair weather lie beside these, in train_ref and val_ref.
    return SplitFiles(
        images=f"rgb_anon/{condition}/{split}/*/*_rgb_anon.png",
        masks=f"gt/{condition}/{split}/*/*_gt_labelTrainIds.png",
    )


def _splits(split: str) -> dict[str, SplitFiles]:
    return {split: _files(split, "*")} | {f"{split}-{condition}": _files(split, condition) for condition in CONDITIONS}


ACDC = Official(
    Definition(
        name="acdc",
        classes=tuple(CLASS_IDS.values()),
        ignore=(255,),
        splits=_splits("train") | _splits("val"),
    ),
    parts=(
        Part(("rgb_anon_trainvaltest.zip",), unpacked="rgb_anon/fog/train", splits=tuple(IMAGES)),
        Part(("gt_trainval.zip",), unpacked="gt/fog/train", splits=tuple(IMAGES)),
    ),
    card=Card(
        title="ACDC, Adverse Conditions Dataset with Correspondences",
        about="Streets seen from a car in fog, at night, in rain and in snow, at 1920x1080; to see what a model "
        "trained on cityscapes does there.",
        home="https://acdc.vision.ee.ethz.ch/download (rgb_anon_trainvaltest.zip, gt_trainval.zip; after registration)",
        licence="its own: non-commercial only, no redistribution",
        paper="Sakaridis et al. 2021, arXiv 2104.13395",
        images=IMAGES,
    ),
)
