"""Which evaluation sets large pretraining sets are known to hold, or to be gathered around."""

from __future__ import annotations

from segrank.cards.card import EvaluationSet, Exposure

_LVD_SEEDS: dict[EvaluationSet, str] = {
    "ade20k": "ADE20K train",
    "cityscapes": "Cityscapes train",
    "voc2012": "VOC 2012 trainaug",
    "pascal_context": "VOC 2012 trainaug, which shares images with both its splits",
}
LVD_142M = tuple(
    Exposure(
        dataset,
        f"curated around: a million web images near to those of {split} were gathered, not these themselves",
        "arXiv 2304.07193, tables 15 and 18",
    )
    for dataset, split in _LVD_SEEDS.items()
)

_MERGED_PARTS: dict[EvaluationSet, str] = {"ade20k": "ADE20K train", "coco_stuff": "COCO train"}
MERGED_38M = tuple(
    Exposure(dataset, f"trained on: images of {split}, without their labels", "arXiv 2303.11331: Merged-38M")
    for dataset, split in _MERGED_PARTS.items()
)
