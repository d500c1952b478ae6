"""Datasets that a spec may name, as their makers publish them: one file and one row each."""

from __future__ import annotations

from segrank.data.official.acdc import ACDC
from segrank.data.official.ade20k import ADE20K
from segrank.data.official.bdd100k import BDD100K
from segrank.data.official.cityscapes import CITYSCAPES
from segrank.data.official.coco_stuff import COCO_STUFF
from segrank.data.official.gta5 import GTA5
from segrank.data.official.isic2017 import ISIC2017
from segrank.data.official.loveda import LOVEDA
from segrank.data.official.mapillary_vistas import MAPILLARY_VISTAS
from segrank.data.official.official import Card, Official, Part
from segrank.data.official.pascal_context import PASCAL_CONTEXT
from segrank.data.official.voc2012 import VOC2012

__all__ = ["OFFICIAL", "Card", "Official", "Part"]

_ENTRIES = (
    *(ADE20K, VOC2012, CITYSCAPES, GTA5),  # the four of arXiv 2404.12172
    *(COCO_STUFF, PASCAL_CONTEXT, MAPILLARY_VISTAS, BDD100K, ACDC, LOVEDA, ISIC2017),
)

OFFICIAL: dict[str, Official] = {entry.definition.name: entry for entry in _ENTRIES}
"""By the name that a spec gives."""
