"""Trained to predict what masked patches hold: pixels, or something more abstract.

Sources: the papers; the publishers' READMEs (EVA-02: data and epochs; BEiT-3: data of the published weights; BEiT v2;
I-JEPA: epochs). Images seen are epochs times 1.281 million (ImageNet-1k), 14.2 (ImageNet-21k) or 38 (Merged-38M).
"""

from __future__ import annotations

from functools import partial

from segrank.cards.card import Card
from segrank.cards.exposures import MERGED_38M

_mae = partial(
    Card, family="MAE", publisher="Meta", paper="2111.06377", year=2021, licence="cc-by-nc-4.0", image=224,
    objective="reconstruct the pixels of masked patches", mim="pixels", data=("ImageNet-1k",),
)  # fmt: skip
MAE = (
    _mae(name="mae-base", timm="vit_base_patch16_224.mae", parameters_m=85.80, dim=768, patch=16, in_paper=True),
    _mae(name="mae-large", timm="vit_large_patch16_224.mae", parameters_m=303.3, dim=1024, patch=16, in_paper=True),
    _mae(name="mae-huge", timm="vit_huge_patch14_224.mae", parameters_m=630.8, dim=1280, patch=14),
)

_hiera = partial(
    Card, family="Hiera", publisher="Meta", paper="2306.00989", year=2023, licence="cc-by-nc-4.0", patch=32, image=224,
    plain=False, final_norm=False, objective="reconstruct the pixels of masked patches", mim="pixels",
    data=("ImageNet-1k",),
)  # fmt: skip
HIERA = (
    _hiera(name="hiera-small", timm="hiera_small_224.mae", parameters_m=34.24, dim=768),
    _hiera(
        name="hiera-base-plus", timm="hiera_base_plus_224.mae", parameters_m=69.00, dim=896,
        notes=("Hiera-B (51 M) is left out: this one has SAM 2's architecture.",),
    ),
    _hiera(name="hiera-large", timm="hiera_large_224.mae", parameters_m=212.6, dim=1152),
)  # fmt: skip

_convnextv2 = partial(
    Card, family="ConvNeXt V2", publisher="Meta", paper="2301.00808", year=2023, licence="cc-by-nc-4.0", patch=32,
    image=224, plain=False, final_norm=False, objective="reconstruct the pixels of masked patches, convolving the rest",
    mim="pixels", data=("ImageNet-1k",),
)  # fmt: skip
CONVNEXTV2 = (
    _convnextv2(name="convnextv2-tiny", timm="convnextv2_tiny.fcmae", parameters_m=27.87, dim=768),
    _convnextv2(name="convnextv2-base", timm="convnextv2_base.fcmae", parameters_m=87.69, dim=1024),
    _convnextv2(name="convnextv2-large", timm="convnextv2_large.fcmae", parameters_m=196.4, dim=1536),
)

_UNNORMALISED = "Its last norm came after pooling and goes with the head, so its features are not normalised."
_MICROSOFT = "timm says Apache-2.0; the publisher's repository is under MIT."
_beit = partial(
    Card, publisher="Microsoft", licence="apache-2.0", patch=16, image=224, final_norm=False, mim="abstract",
    supervision=("labels",),
    notes=(
        "timm has no weights from before the fine-tuning on labels, so masked modelling and labels are not told apart.",
        _UNNORMALISED,
        _MICROSOFT,
    ),
)  # fmt: skip
_beitv1 = partial(
    _beit, family="BEiT", paper="2106.08254", year=2021, data=("ImageNet-21k",),
    objective="predict the discrete tokens of masked patches, then classify",
)  # fmt: skip
_beitv2 = partial(
    _beit, family="BEiT v2", paper="2208.06366", year=2022, data=("ImageNet-1k", "ImageNet-21k"),
    objective="predict tokens of masked patches, from a tokeniser taught by CLIP, on ImageNet-1k; then classify "
    "ImageNet-21k", teacher_supervision=("image-text",),
)  # fmt: skip
BEIT = (
    _beitv1(name="beit-base", timm="beit_base_patch16_224.in22k_ft_in22k", parameters_m=85.76, dim=768),
    _beitv1(name="beit-large", timm="beit_large_patch16_224.in22k_ft_in22k", parameters_m=303.4, dim=1024),
    _beitv2(name="beitv2-base", timm="beitv2_base_patch16_224.in1k_ft_in22k", parameters_m=85.76, dim=768),
    _beitv2(name="beitv2-large", timm="beitv2_large_patch16_224.in1k_ft_in22k", parameters_m=303.4, dim=1024),
)

_beit3 = partial(
    Card, family="BEiT-3", publisher="Microsoft", paper="2208.10442", year=2022, licence="apache-2.0", patch=16,
    image=224, objective="predict masked words, and tokens of masked patches, in images, texts and pairs",
    mim="abstract", supervision=("image-text",), in_paper=True,
    data=("ImageNet-21k", "LAION-400M", "LAION-2B", "COYO-700M", "CC15M"),
    notes=(
        "timm's default would leave the tokens unnormalised; segrank puts the norm of its pretraining on them.",
        "timm normalises its input with ImageNet's mean and standard deviation, other implementations with 0.5.",
        "These are the weights without in-domain data; the `indomain_pt` ones went on with COCO and Visual Genome.",
        _MICROSOFT,
    ),
)  # fmt: skip
BEIT3 = (
    _beit3(name="beit3-base", timm="beit3_base_patch16_224.pt", parameters_m=85.89, dim=768),
    _beit3(name="beit3-large", timm="beit3_large_patch16_224.pt", parameters_m=303.5, dim=1024),
)

_EVA02_TEACHER = "Its teacher, EVA-CLIP, grew from a model that had seen images of ADE20K and COCO (Merged-30M)."
_eva02 = partial(
    Card, family="EVA-02", publisher="BAAI", paper="2303.11331", year=2023, licence="mit", patch=14, image=224,
    objective="predict EVA-CLIP's features of masked patches", mim="abstract", teacher_supervision=("image-text",),
    distilled_from=("EVA-CLIP g",), data=("ImageNet-21k",), final_norm=False, notes=(_UNNORMALISED, _EVA02_TEACHER),
)  # fmt: skip
EVA02 = (
    _eva02(
        name="eva02-small", timm="eva02_small_patch14_224.mim_in22k", timm_default=True, parameters_m=21.62, dim=384,
        images_seen_m=3410,  # 240 epochs
    ),
    _eva02(
        name="eva02-base", timm="eva02_base_patch14_224.mim_in22k", timm_default=True, parameters_m=85.76, dim=768,
        images_seen_m=2130, in_paper=True,  # 150 epochs
    ),
    _eva02(
        name="eva02-large", timm="eva02_large_patch14_224.mim_m38m", parameters_m=303.3, dim=1024, in_paper=True,
        data=("ImageNet-21k", "CC12M", "CC3M", "COCO", "ADE20K", "Objects365", "OpenImages"),
        images_seen_m=2130, saw=MERGED_38M,  # 56 epochs
        notes=(
            _UNNORMALISED, _EVA02_TEACHER,
            "Base and large differ in their data. Large on ImageNet-21k: eva02_large_patch14_224.mim_in22k.",
        ),
    ),
)  # fmt: skip

_ijepa = partial(
    Card, publisher="Meta", paper="2301.08243", year=2023, licence="cc-by-nc-4.0", patch=14, image=224, on_hub=False,
    parameters_m=630.8, dim=1280, mim="abstract", self_distillation=True,
    objective="predict the features of hidden blocks, as a slowly moving copy of itself has them, from a visible one",
)  # fmt: skip
IJEPA = (
    _ijepa(
        name="ijepa-in1k-huge", family="I-JEPA (IN1K)", timm="vit_huge_patch14_gap_224.in1k_ijepa", timm_default=True,
        data=("ImageNet-1k",), images_seen_m=384,  # 300 epochs
        notes=("Not on the hub. Weights: https://dl.fbaipublicfiles.com/ijepa/IN1K-vit.h.14-300e.pth.tar",),
    ),
    _ijepa(
        name="ijepa-in21k-huge", family="I-JEPA (IN21K)", timm="vit_huge_patch14_gap_224.in22k_ijepa",
        data=("ImageNet-21k",), images_seen_m=937,  # 66 epochs
        notes=(
            "Not on the hub. Weights: https://dl.fbaipublicfiles.com/ijepa/IN22K-vit.h.14-900e.pth.tar",
            "The 900 in that name are not epochs of ImageNet-21k: it saw 66 of those.",
        ),
    ),
)  # fmt: skip

CARDS = (*MAE, *HIERA, *CONVNEXTV2, *BEIT, *BEIT3, *EVA02, *IJEPA)
