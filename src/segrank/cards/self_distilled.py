"""Trained to agree with a slowly moving copy of themselves: the DINO line.

Sources: the papers; the publisher's model cards of DINOv2 and DINOv3. Images seen: DINOv2 ran 625,000 steps of 2,048
images (3,072 for giant), arXiv 2304.07193, table 16.
"""

from __future__ import annotations

from functools import partial

from segrank.cards.card import Card
from segrank.cards.exposures import LVD_142M

_dino = partial(
    Card, family="DINO", publisher="Meta", paper="2104.14294", year=2021, licence="apache-2.0", patch=16, image=224,
    objective="self-distillation between crops of an image", mim="none", self_distillation=True,
    data=("ImageNet-1k",),
)  # fmt: skip
DINO = (
    _dino(name="dino-small", timm="vit_small_patch16_224.dino", parameters_m=21.67, dim=384),
    _dino(name="dino-base", timm="vit_base_patch16_224.dino", parameters_m=85.80, dim=768),
)

_DINOV2_OBJECTIVE = "self-distillation of whole images (DINO) and of masked patches (iBOT)"
_dinov2 = partial(
    Card, family="DINOv2", publisher="Meta", paper="2304.07193", year=2023, licence="apache-2.0", patch=14, image=518,
    objective=_DINOV2_OBJECTIVE, mim="abstract", self_distillation=True, data=("LVD-142M",), saw=LVD_142M,
    images_seen_m=1280, distilled_from=("dinov2-giant",), timm_default=True,
)  # fmt: skip
DINOV2 = (
    _dinov2(name="dinov2-small", timm="vit_small_patch14_dinov2.lvd142m", parameters_m=22.06, dim=384),
    _dinov2(name="dinov2-base", timm="vit_base_patch14_dinov2.lvd142m", parameters_m=86.58, dim=768, in_paper=True),
    _dinov2(name="dinov2-large", timm="vit_large_patch14_dinov2.lvd142m", parameters_m=304.4, dim=1024, in_paper=True),
    _dinov2(
        name="dinov2-giant", timm="vit_giant_patch14_dinov2.lvd142m", parameters_m=1136.5, dim=1536,
        images_seen_m=1920, distilled_from=(),
    ),
)  # fmt: skip

_registers = partial(
    Card, family="DINOv2 with registers", publisher="Meta", paper="2309.16588", year=2023, licence="apache-2.0",
    patch=14, image=518, objective=f"{_DINOV2_OBJECTIVE}; four register tokens take up what has no place",
    mim="abstract", self_distillation=True, data=("LVD-142M",), saw=LVD_142M, timm_default=True,
    distilled_from=("dinov2-reg-giant",),
)  # fmt: skip
DINOV2_REGISTERS = (
    _registers(name="dinov2-reg-small", timm="vit_small_patch14_reg4_dinov2.lvd142m", parameters_m=22.06, dim=384),
    _registers(name="dinov2-reg-base", timm="vit_base_patch14_reg4_dinov2.lvd142m", parameters_m=86.58, dim=768),
    _registers(name="dinov2-reg-large", timm="vit_large_patch14_reg4_dinov2.lvd142m", parameters_m=304.4, dim=1024),
    _registers(
        name="dinov2-reg-giant", timm="vit_giant_patch14_reg4_dinov2.lvd142m", parameters_m=1136.5, dim=1536,
        distilled_from=(),
    ),
)  # fmt: skip

_DINOV3_DATA = (
    "Beside LVD-1689M the teacher saw ImageNet-1k, ImageNet-21k, Mapillary street images and web images gathered "
    "around other public datasets; around which was not confirmed."
)
_dinov3 = partial(
    Card, publisher="Meta", paper="2508.10104", year=2025, licence="dinov3-license",
    objective=f"{_DINOV2_OBJECTIVE}; the teacher also kept its patch similarities of earlier (Gram anchoring)",
    mim="abstract", self_distillation=True, data=("LVD-1689M",), distilled_from=("dinov3-7b",),
)  # fmt: skip
_dinov3_vit = partial(
    _dinov3, family="DINOv3", patch=16, image=256, timm_default=True,
    notes=(
        _DINOV3_DATA,
        "timm leaves out the bias of queries, keys and values, which is all zeros; its `_qkvb` variants have it.",
    ),
)  # fmt: skip
DINOV3 = (
    _dinov3_vit(name="dinov3-small", timm="vit_small_patch16_dinov3.lvd1689m", parameters_m=21.59, dim=384),
    _dinov3_vit(name="dinov3-base", timm="vit_base_patch16_dinov3.lvd1689m", parameters_m=85.64, dim=768),
    _dinov3_vit(name="dinov3-large", timm="vit_large_patch16_dinov3.lvd1689m", parameters_m=303.1, dim=1024),
    _dinov3_vit(name="dinov3-huge-plus", timm="vit_huge_plus_patch16_dinov3.lvd1689m", parameters_m=840.5, dim=1280),
    _dinov3_vit(
        name="dinov3-7b", timm="vit_7b_patch16_dinov3.lvd1689m", parameters_m=6716, dim=4096, distilled_from=(),
    ),
)  # fmt: skip

_dinov3_convnext = partial(
    _dinov3, family="DINOv3 ConvNeXt", patch=32, image=224, plain=False, final_norm=False, notes=(_DINOV3_DATA,),
)  # fmt: skip
DINOV3_CONVNEXT = (
    _dinov3_convnext(name="dinov3-convnext-tiny", timm="convnext_tiny.dinov3_lvd1689m", parameters_m=27.82, dim=768),
    _dinov3_convnext(name="dinov3-convnext-base", timm="convnext_base.dinov3_lvd1689m", parameters_m=87.57, dim=1024),
    _dinov3_convnext(name="dinov3-convnext-large", timm="convnext_large.dinov3_lvd1689m", parameters_m=196.2, dim=1536),
)

CARDS = (*DINO, *DINOV2, *DINOV2_REGISTERS, *DINOV3, *DINOV3_CONVNEXT)
