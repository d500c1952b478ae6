"""Trained for places in the image: promptable segmentation, and students of several teachers.

Sources: the papers; the publishers' READMEs (Perception Encoder, RADIO).
"""

from __future__ import annotations

from functools import partial

from segrank.cards.card import Card

_promptable = partial(
    Card, publisher="Meta", licence="apache-2.0", mim="pixels", supervision=("masks",), promptable=True
)

_sam = partial(
    _promptable, family="SAM", paper="2304.02643", year=2023, patch=16, image=1024, data=("SA-1B",),
    objective="segment what a point, a box or a rough mask points at, starting from MAE", timm_default=True,
    final_norm=False,
)  # fmt: skip
_SAM_NOTES = (
    "Masked modelling was MAE's; this stage has none.",
    "No final norm: the norms of its neck go with the neck. timm's num_features (256) is the neck's.",
    "Most of its blocks attend within windows of 14 patches.",
)
SAM = (
    _sam(
        name="sam-base", timm="samvit_base_patch16.sa1b", parameters_m=88.88, dim=768, initialised_from="mae-base",
        in_paper=True, notes=_SAM_NOTES,
    ),
    _sam(
        name="sam-large", timm="samvit_large_patch16.sa1b", parameters_m=307.4, dim=1024, initialised_from="mae-large",
        in_paper=True, notes=_SAM_NOTES,
    ),
    _sam(
        name="sam-huge", timm="samvit_huge_patch16.sa1b", parameters_m=636.1, dim=1280, initialised_from="mae-huge",
        notes=(*_SAM_NOTES, "MAE's huge model has patches of 14 pixels."),
    ),
)  # fmt: skip

_sam2 = partial(
    _promptable, family="SAM 2.1", paper="2408.00714", year=2024, patch=32, plain=False, final_norm=False,
    data=("SA-1B", "SA-V", "videos of Meta's own"),
    objective="segment what a prompt points at, in images and through videos, starting from Hiera",
    notes=("Masked modelling was Hiera's; this stage has none.",),
)  # fmt: skip
SAM2 = (
    _sam2(
        name="sam2-small", timm="sam2_hiera_small.fb_r896_2pt1", parameters_m=33.95, dim=768, image=896,
        initialised_from="hiera-small",
    ),
    _sam2(
        name="sam2-base-plus", timm="sam2_hiera_base_plus.fb_r896_2pt1", parameters_m=68.68, dim=896, image=896,
        initialised_from="hiera-base-plus",
    ),
    _sam2(
        name="sam2-large", timm="sam2_hiera_large.fb_r1024_2pt1", parameters_m=212.2, dim=1152, image=1024,
        initialised_from="hiera-large",
    ),
)  # fmt: skip

_pe_spatial = partial(
    Card, family="PE spatial", publisher="Meta", paper="2504.13181", year=2025, licence="apache-2.0", timm_default=True,
    objective="match the features of PE core's best middle layer, and SAM 2.1's notion of what belongs together",
    mim=None, supervision=("image-text",), teacher_supervision=("masks",), contrastive=True, self_distillation=True,
    data=("MetaCLIP-5.4B", "22M videos with generated captions"), final_norm=False,
)  # fmt: skip
_PE_SPATIAL_MIM = "Whether patches are masked in this distillation was not confirmed."
_PE_SPATIAL_SMALL = "Released after the paper; from what it was distilled was not confirmed."
PE_SPATIAL = (
    _pe_spatial(
        name="pe-spatial-small", timm="vit_pe_spatial_small_patch16_512.fb", parameters_m=21.98, dim=384, patch=16,
        image=512, notes=(_PE_SPATIAL_MIM, _PE_SPATIAL_SMALL),
    ),
    _pe_spatial(
        name="pe-spatial-base", timm="vit_pe_spatial_base_patch16_512.fb", parameters_m=86.43, dim=768, patch=16,
        image=512, notes=(_PE_SPATIAL_MIM, _PE_SPATIAL_SMALL),
    ),
    _pe_spatial(
        name="pe-spatial-large", timm="vit_pe_spatial_large_patch14_448.fb", parameters_m=304.0, dim=1024, patch=14,
        image=448, notes=(_PE_SPATIAL_MIM, _PE_SPATIAL_SMALL),
    ),
    _pe_spatial(
        name="pe-spatial-gigantic", timm="vit_pe_spatial_gigantic_patch14_448.fb", parameters_m=1851.9, dim=1536,
        patch=14, image=448, initialised_from="pe-core-gigantic", distilled_from=("pe-core-gigantic", "SAM 2.1"),
        notes=(_PE_SPATIAL_MIM,),
    ),
)  # fmt: skip

_RADIO_NOTES = (
    "Its data are unpublished.",
    "Trained at many resolutions; timm resamples its table of positions once, when the weights are loaded.",
)
_radio = partial(
    Card, publisher="NVIDIA", licence="nvidia-open-model-license", patch=16, image=512, mim="none", data=(),
    teacher_supervision=("image-text", "masks"), objective="match the features of several teachers at once",
    final_norm=False, timm_default=True, notes=_RADIO_NOTES,
)  # fmt: skip
_radiov3 = partial(
    _radio, family="C-RADIOv3", paper="2412.07679", year=2024,
    notes=(
        *_RADIO_NOTES,
        "The paper is RADIOv2.5's; version 3 came in 2025 without one. Its teachers were not confirmed: those of the "
        "C-RADIO before it are DFN CLIP, SigLIP, DINOv2 and SAM.",
    ),
)  # fmt: skip
_radiov4 = partial(
    _radio, family="C-RADIOv4", paper="2601.17237", year=2026, distilled_from=("SigLIP 2 g", "dinov3-7b", "SAM 3"),
)  # fmt: skip
C_RADIO = (
    _radiov3(name="c-radiov3-base", timm="vit_base_patch16_radio_v3.c_radio", parameters_m=86.46, dim=768),
    _radiov3(name="c-radiov3-large", timm="vit_large_patch16_radio_v3.c_radio", parameters_m=304.2, dim=1024),
    _radiov3(name="c-radiov3-huge", timm="vit_huge_patch16_radio_v3.c_radio", parameters_m=632.0, dim=1280),
    _radiov4(name="c-radiov4-so400m", timm="vit_so400m_patch16_radio_v4.c_radio", parameters_m=413.5, dim=1152),
    _radiov4(name="c-radiov4-huge", timm="vit_huge_patch16_radio_v4.c_radio", parameters_m=632.0, dim=1280),
)

CARDS = (*SAM, *SAM2, *PE_SPATIAL, *C_RADIO)
