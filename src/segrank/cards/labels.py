"""Trained on class labels.

Sources: the papers; DeiT III's training commands (800 epochs of ImageNet-1k, or 240 of ImageNet-21k and 50 of
ImageNet-1k); AugReg's file names (300 epochs). Images seen are epochs times 1.281 or 14.2 million; the short last stage
at 384 pixels is left out.
"""

from __future__ import annotations

from functools import partial

from segrank.cards.card import Card

_labels = partial(Card, objective="classify", mim="none", supervision=("labels",))

_deit3 = partial(_labels, publisher="Meta", paper="2204.07118", year=2022, licence="apache-2.0", patch=16, image=384)
_deit3_in21k = partial(
    _deit3, family="DeiT III (IN21K->1K)", data=("ImageNet-21k", "ImageNet-1k"), images_seen_m=3470,
)  # fmt: skip
_deit3_in1k = partial(
    _deit3, family="DeiT III (IN1K)", data=("ImageNet-1k",), images_seen_m=1020, timm_default=True,
)  # fmt: skip
DEIT3 = (
    _deit3_in21k(
        name="deit3-in21k-small", timm="deit3_small_patch16_384.fb_in22k_ft_in1k", parameters_m=21.82, dim=384,
    ),
    _deit3_in21k(
        name="deit3-in21k-base", timm="deit3_base_patch16_384.fb_in22k_ft_in1k", parameters_m=86.11, dim=768,
        in_paper=True,
    ),
    _deit3_in21k(
        name="deit3-in21k-large", timm="deit3_large_patch16_384.fb_in22k_ft_in1k", parameters_m=303.7, dim=1024,
        in_paper=True,
    ),
    _deit3_in1k(name="deit3-in1k-small", timm="deit3_small_patch16_384.fb_in1k", parameters_m=21.82, dim=384),
    _deit3_in1k(
        name="deit3-in1k-base", timm="deit3_base_patch16_384.fb_in1k", parameters_m=86.11, dim=768, in_paper=True,
    ),
    _deit3_in1k(
        name="deit3-in1k-large", timm="deit3_large_patch16_384.fb_in1k", parameters_m=303.7, dim=1024, in_paper=True,
    ),
)  # fmt: skip

_augreg = partial(_labels, publisher="Google", paper="2106.10270", year=2021, licence="apache-2.0", patch=16, image=224)
_augreg_in21k = partial(_augreg, family="AugReg ViT (IN21K)", data=("ImageNet-21k",), images_seen_m=4260)
_augreg_in1k = partial(_augreg, family="AugReg ViT (IN1K)", data=("ImageNet-1k",), images_seen_m=384)
AUGREG = (
    _augreg_in21k(name="augreg-in21k-small", timm="vit_small_patch16_224.augreg_in21k", parameters_m=21.67, dim=384),
    _augreg_in21k(name="augreg-in21k-base", timm="vit_base_patch16_224.augreg_in21k", parameters_m=85.80, dim=768),
    _augreg_in21k(name="augreg-in21k-large", timm="vit_large_patch16_224.augreg_in21k", parameters_m=303.3, dim=1024),
    _augreg_in1k(name="augreg-in1k-small", timm="vit_small_patch16_224.augreg_in1k", parameters_m=21.67, dim=384),
    _augreg_in1k(name="augreg-in1k-base", timm="vit_base_patch16_224.augreg_in1k", parameters_m=85.80, dim=768),
)

_hierarchical = partial(_labels, plain=False, patch=32, data=("ImageNet-21k",))
_convnext = partial(
    _hierarchical, family="ConvNeXt", publisher="Meta", paper="2201.03545", year=2022, licence="apache-2.0", image=224,
    final_norm=False,
)  # fmt: skip
CONVNEXT = (
    _convnext(name="convnext-tiny", timm="convnext_tiny.fb_in22k", parameters_m=27.82, dim=768),
    _convnext(name="convnext-base", timm="convnext_base.fb_in22k", parameters_m=87.57, dim=1024),
    _convnext(name="convnext-large", timm="convnext_large.fb_in22k", parameters_m=196.2, dim=1536),
)

_swin = partial(
    _hierarchical, family="Swin", publisher="Microsoft", paper="2103.14030", year=2021, licence="mit", image=224,
)  # fmt: skip
_swinv2 = partial(
    _hierarchical, family="Swin V2", publisher="Microsoft", paper="2111.09883", year=2021, licence="mit", image=192,
    timm_default=True,
)  # fmt: skip
SWIN = (
    _swin(name="swin-tiny", timm="swin_tiny_patch4_window7_224.ms_in22k", parameters_m=27.52, dim=768),
    _swin(name="swin-base", timm="swin_base_patch4_window7_224.ms_in22k", parameters_m=86.74, dim=1024),
    _swin(name="swin-large", timm="swin_large_patch4_window7_224.ms_in22k", parameters_m=195.0, dim=1536),
    _swinv2(name="swinv2-base", timm="swinv2_base_window12_192.ms_in22k", parameters_m=86.89, dim=1024),
    _swinv2(name="swinv2-large", timm="swinv2_large_window12_192.ms_in22k", parameters_m=195.2, dim=1536),
)

CARDS = (*DEIT3, *AUGREG, *CONVNEXT, *SWIN)
