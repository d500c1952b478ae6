"""Steps from one encoder to another: the pairs that say whether a step helped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from segrank.cards.card import Card, Kind, Lineage


class _Step(NamedTuple):
    """Between families; it holds for every size that both have."""

    child: str
    parent: str
    changed: str
    controlled: bool = False


_STEPS = (
    _Step("SAM", "MAE", "promptable segmentation on SA-1B"),
    _Step("SAM 2.1", "Hiera", "promptable segmentation on SA-1B and on videos"),
    _Step("EVA-02-CLIP", "EVA-02", "contrastive training on 2 billion image-text pairs"),
    _Step("PE spatial", "PE core", "alignment to its own middle layer and to SAM 2.1"),
    _Step("DeiT III (IN21K->1K)", "DeiT III (IN1K)", "ImageNet-21k before ImageNet-1k", controlled=True),
    _Step("AugReg ViT (IN21K)", "AugReg ViT (IN1K)", "ImageNet-21k in place of ImageNet-1k", controlled=True),
    _Step("I-JEPA (IN21K)", "I-JEPA (IN1K)", "ImageNet-21k in place of ImageNet-1k", controlled=True),
    _Step("DINOv2 with registers", "DINOv2", "four register tokens", controlled=True),
    _Step("MetaCLIP", "CLIP", "openly curated pairs in place of OpenAI's; as many images seen", controlled=True),
    _Step("CLIP (LAION-2B)", "CLIP", "LAION-2B in place of OpenAI's pairs; more images seen; GELU"),
    _Step("DFN (CLIP)", "CLIP", "pairs chosen by a filtering network; GELU"),
    _Step("SigLIP 2", "SigLIP", "captioning, self-distillation and masked features beside the sigmoid"),
    _Step("BEiT v2", "BEiT", "a tokeniser taught by CLIP; masked modelling on ImageNet-1k only"),
    _Step("BEiT-3", "BEiT v2", "texts and image-text pairs; no class labels"),
    _Step("DINOv2", "DINO", "masked patches, 142 million curated images, distillation from giant"),
    _Step("DINOv3", "DINOv2 with registers", "1.7 billion images, a teacher of 7 billion parameters"),
    _Step("DINOv3 ConvNeXt", "ConvNeXt", "distillation from DINOv3 in place of class labels; other data"),
    _Step("Swin V2", "Swin", "other norms, cosine attention, larger windows; pretrained at 192 pixels"),
    _Step("C-RADIOv4", "C-RADIOv3", "other teachers, SAM 3 and DINOv3 among them"),
)


def lineages(cards: Iterable[Card]) -> Iterator[Lineage]:
    """The steps between cards of the same size, none of which is half as large again as the other."""
    by_family = {(card.family, card.size): card for card in cards}
    for step in _STEPS:
        for (family, size), child in by_family.items():
            parent = by_family.get((step.parent, size))
            if family != step.child or parent is None:
                continue
            if max(child.parameters_m, parent.parameters_m) > 1.5 * min(child.parameters_m, parent.parameters_m):
                continue  # giant has no upper limit
            kind: Kind = "controlled" if step.controlled else "successor"
            if child.initialised_from == parent.name:
                kind = "continued"
            yield Lineage(child.name, parent.name, kind, step.changed)
