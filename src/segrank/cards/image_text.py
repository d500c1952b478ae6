"""Trained on pairs of images and texts.

Sources: the papers; the publishers' READMEs (EVA-CLIP: start, data, samples; SigLIP 2; Perception Encoder; TIPS). The
names of weights state samples seen: s8B, s34B. OpenAI's CLIP: 32 epochs of 400 million pairs.
"""

from __future__ import annotations

from functools import partial

from segrank.cards.card import Card
from segrank.cards.exposures import MERGED_38M

_contrastive = partial(
    Card, objective="tell which text belongs to which image", mim="none", supervision=("image-text",), contrastive=True
)

_eva02_clip = partial(
    _contrastive, family="EVA-02-CLIP", publisher="BAAI", paper="2303.15389", year=2023, licence="mit", mim="abstract",
    objective="tell which text belongs to which image, starting from EVA-02",
    data=("LAION-2B", "COYO-700M"), timm_default=True, in_paper=True,
)  # fmt: skip
EVA02_CLIP = (
    _eva02_clip(
        name="eva02-clip-base", timm="eva02_base_patch16_clip_224.merged2b", parameters_m=85.87, dim=768, patch=16,
        image=224, initialised_from="eva02-base", images_seen_m=8000,
        notes=("Masked modelling was EVA-02's; this stage has none.",),
    ),
    _eva02_clip(
        name="eva02-clip-large", timm="eva02_large_patch14_clip_336.merged2b", parameters_m=303.6, dim=1024, patch=14,
        image=336, initialised_from="eva02-large", images_seen_m=6000, saw=MERGED_38M,
        notes=(
            "Masked modelling was EVA-02's; this stage has none.",
            "It saw the images of ADE20K and COCO as EVA-02, from whose weights it starts.",
        ),
    ),
)  # fmt: skip

_siglip = partial(
    _contrastive, family="SigLIP", publisher="Google", paper="2303.15343", year=2023, licence="apache-2.0", patch=16,
    data=("WebLI",), images_seen_m=40_000, in_paper=True,
    objective="tell for each text and image by itself whether they belong together (sigmoid)",
    notes=(
        "Pretrained at 256 pixels; a shorter stage at the native size followed, which the number of images leaves out.",
        "No class token. Base and large have different native sizes.",
    ),
)  # fmt: skip
SIGLIP = (
    _siglip(name="siglip-base", timm="vit_base_patch16_siglip_512.webli", parameters_m=86.43, dim=768, image=512),
    _siglip(name="siglip-large", timm="vit_large_patch16_siglip_384.webli", parameters_m=303.7, dim=1024, image=384),
)

_siglip2 = partial(
    _contrastive, family="SigLIP 2", publisher="Google", paper="2502.14786", year=2025, licence="apache-2.0", patch=16,
    image=512, mim="abstract", self_distillation=True, data=("WebLI",), images_seen_m=40_000, timm_default=True,
    objective="SigLIP's, captioning and locating; in the last fifth also self-distillation and features of masked "
    "patches",
)  # fmt: skip
SIGLIP2 = (
    _siglip2(name="siglip2-base", timm="vit_base_patch16_siglip_512.v2_webli", parameters_m=86.43, dim=768),
    _siglip2(name="siglip2-large", timm="vit_large_patch16_siglip_512.v2_webli", parameters_m=304.1, dim=1024),
)

_dfn = partial(
    _contrastive, family="DFN (CLIP)", publisher="Apple", paper="2309.17425", year=2023, licence="apple-ascl",
    image=224, data=("DFN-2B",), in_paper=True,
)  # fmt: skip
DFN = (
    _dfn(name="dfn-base", timm="vit_base_patch16_clip_224.dfn2b", parameters_m=85.80, dim=768, patch=16),
    _dfn(
        name="dfn-large", timm="vit_large_patch14_clip_224.dfn2b", parameters_m=303.2, dim=1024, patch=14,
        notes=(
            "Natively QuickGELU; the paper's study takes timm's GELU variant, which this is. The native one is "
            "vit_large_patch14_clip_quickgelu_224.dfn2b.",
        ),
    ),
)  # fmt: skip

_clip = partial(
    _contrastive, family="CLIP", publisher="OpenAI", paper="2103.00020", year=2021, licence="apache-2.0", image=224,
    data=("WIT-400M",), images_seen_m=12_800,
    notes=(
        "QuickGELU, as trained; timm's names without `quickgelu` put GELU in its place.",
        "timm says Apache-2.0; the publisher's repository is under MIT.",
    ),
)  # fmt: skip
CLIP = (
    _clip(
        name="clip-base", timm="vit_base_patch16_clip_quickgelu_224.openai", parameters_m=85.80, dim=768, patch=16,
        weights_of="vit_base_patch16_clip_224.openai",
    ),
    _clip(
        name="clip-large", timm="vit_large_patch14_clip_quickgelu_224.openai", parameters_m=303.2, dim=1024, patch=14,
        weights_of="vit_large_patch14_clip_224.openai",
    ),
)  # fmt: skip

_laion = partial(
    _contrastive, family="CLIP (LAION-2B)", publisher="LAION", paper="2212.07143", year=2022, licence="apache-2.0",
    image=224, data=("LAION-2B",),
)  # fmt: skip
CLIP_LAION = (
    _laion(
        name="clip-laion-base", timm="vit_base_patch16_clip_224.laion2b", parameters_m=85.80, dim=768, patch=16,
        images_seen_m=34_000,
    ),
    _laion(
        name="clip-laion-large", timm="vit_large_patch14_clip_224.laion2b", parameters_m=303.2, dim=1024, patch=14,
        images_seen_m=32_000,
        notes=("Its mean and standard deviation are 0.5, not CLIP's as in base and huge.",),
    ),
    _laion(
        name="clip-laion-huge", timm="vit_huge_patch14_clip_224.laion2b", parameters_m=630.8, dim=1280, patch=14,
        images_seen_m=32_000,
    ),
)  # fmt: skip

_metaclip = partial(
    _contrastive, family="MetaCLIP", publisher="Meta", paper="2309.16671", year=2023, licence="cc-by-nc-4.0", image=224,
    data=("MetaCLIP-2.5B",), images_seen_m=12_800,
    notes=("QuickGELU, as trained; timm's names without `quickgelu` put GELU in its place.",),
)  # fmt: skip
METACLIP = (
    _metaclip(
        name="metaclip-base", timm="vit_base_patch16_clip_quickgelu_224.metaclip_2pt5b", timm_default=True,
        parameters_m=85.80, dim=768, patch=16, weights_of="vit_base_patch16_clip_224.metaclip_2pt5b",
    ),
    _metaclip(
        name="metaclip-large", timm="vit_large_patch14_clip_quickgelu_224.metaclip_2pt5b",
        parameters_m=303.2, dim=1024, patch=14, weights_of="vit_large_patch14_clip_224.metaclip_2pt5b",
    ),
)  # fmt: skip

_tipsv2 = partial(
    _contrastive, family="TIPSv2", publisher="Google", paper="2604.12012", year=2026, licence="apache-2.0", patch=14,
    image=448, mim="abstract", self_distillation=True, data=("WebLI (a curated part)",), timm_default=True,
    objective="tell which of several captions belongs to which image; self-distillation of whole images and of all "
    "patches, masked or not (iBOT++)",
    notes=(
        "Images are fed as 0..1, without a mean.",
        "The paper distils the small sizes from giant; for these very weights that was not confirmed.",
    ),
)  # fmt: skip
TIPSV2 = (
    _tipsv2(name="tipsv2-base", timm="vit_base_patch14_reg1_tipsv2.webli", parameters_m=86.32, dim=768),
    _tipsv2(name="tipsv2-large", timm="vit_large_patch14_reg1_tipsv2.webli", parameters_m=304.0, dim=1024),
    _tipsv2(
        name="tipsv2-giant", timm="vit_giant_patch14_reg1_tipsv2.webli", parameters_m=1135.9, dim=1536,
        notes=("Images are fed as 0..1, without a mean.",),
    ),
)  # fmt: skip

_pe_core = partial(
    _contrastive, family="PE core", publisher="Meta", paper="2504.13181", year=2025, licence="apache-2.0",
    data=("MetaCLIP-5.4B", "22M videos with generated captions"), timm_default=True,
    objective="tell which text belongs to which image, then to which video",
)  # fmt: skip
_PE_MASKING = (
    "As a regulariser, masked tokens are drawn towards their unmasked selves; that is not counted as masked modelling.",
    "Its best features for dense prediction lie in the middle layers, says the paper; segrank takes the last.",
)
PE_CORE = (
    _pe_core(
        name="pe-core-small", timm="vit_pe_core_small_patch16_384.fb", parameters_m=21.81, dim=384, patch=16, image=384,
        notes=(*_PE_MASKING, "Released after the paper; from what it was distilled was not confirmed."),
    ),
    _pe_core(
        name="pe-core-base", timm="vit_pe_core_base_patch16_224.fb", parameters_m=85.80, dim=768, patch=16, image=224,
        distilled_from=("pe-core-gigantic",), notes=_PE_MASKING,
    ),
    _pe_core(
        name="pe-core-large", timm="vit_pe_core_large_patch14_336.fb", parameters_m=303.5, dim=1024, patch=14,
        image=336, distilled_from=("pe-core-gigantic",), notes=_PE_MASKING,
    ),
    _pe_core(
        name="pe-core-gigantic", timm="vit_pe_core_gigantic_patch14_448.fb", parameters_m=1851.7, dim=1536, patch=14,
        image=448, notes=_PE_MASKING,
    ),
)  # fmt: skip

_aimv2 = partial(
    Card, family="AIMv2", publisher="Apple", paper="2411.14402", year=2024, licence="apple-ascl", patch=14, image=224,
    objective="predict the pixels of the next patch, then the words of the text, one after another", mim="none",
    autoregressive=True, supervision=("image-text",), data=("DFN-2B", "COYO", "HQITP"), images_seen_m=12_000,
    timm_default=True, notes=("No class token. timm has the same at 336 and 448 pixels.",),
)  # fmt: skip
AIMV2 = (
    _aimv2(name="aimv2-large", timm="aimv2_large_patch14_224.apple_pt", parameters_m=309.2, dim=1024),
    _aimv2(name="aimv2-huge", timm="aimv2_huge_patch14_224.apple_pt", parameters_m=680.9, dim=1536),
)

CARDS = (
    *EVA02_CLIP, *SIGLIP, *SIGLIP2, *DFN, *CLIP, *CLIP_LAION, *METACLIP, *TIPSV2, *PE_CORE, *AIMV2,
)  # fmt: skip
