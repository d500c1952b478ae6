"""What is known of one pretrained encoder, as data. No torch, no timm."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, get_args

Mim = Literal["none", "pixels", "abstract"]
Supervision = Literal["labels", "image-text", "masks"]
Size = Literal["small", "base", "large", "huge", "giant"]
Terms = Literal["permissive", "own-terms", "non-commercial"]
Kind = Literal["continued", "controlled", "successor"]
EvaluationSet = Literal["ade20k", "voc2012", "cityscapes", "gta5", "coco_stuff", "pascal_context"]

SIZE_LIMITS_M: dict[Size, float] = {"small": 40, "base": 150, "large": 450, "huge": 1000, "giant": float("inf")}
"""A size goes up to so many million parameters. One rule for every architecture; a plain ViT comes out by its letter
(S 22, B 86, L 303, H 631, g 1136)."""

LICENCES: dict[str, Terms] = {
    "apache-2.0": "permissive",
    "mit": "permissive",
    "apple-ascl": "own-terms",
    "dinov3-license": "own-terms",
    "nvidia-open-model-license": "own-terms",
    "cc-by-nc-4.0": "non-commercial",
    "own": "own-terms",
    "none": "permissive",
}
"""Licences of weights, as timm names them -> what kind they are. `own-terms`: the publisher's own licence, which is no
open-source one; read it before use. `own`: pretrained by the user, under terms of theirs. `none` is the licence of
random weights."""

_DEPTHS = {384: 12, 768: 12, 1024: 24, 1152: 27, 1280: 32, 1536: 40, 4096: 40}
"""Width of a plain vision transformer -> how many blocks it usually has."""
_OTHER_DEPTHS = {"aimv2_huge": 24, "vit_pe_core_gigantic": 50, "vit_pe_spatial_gigantic": 50}
"""Beginning of timm's name -> blocks, where they are not as many as usual."""


class Exposure(NamedTuple):
    """A dataset on which segmentation is evaluated, and how the pretraining came to see its images."""

    dataset: EvaluationSet
    """As a spec names it."""
    how: str
    """In words, with the split."""
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One pretrained encoder in one size. What could not be confirmed is None, never guessed."""

    name: str
    """By which segrank lists it: `dinov2-base`."""
    family: str
    """`DINOv2`. Cards of one family differ in size, and hardly in anything else."""
    timm: str
    """timm's name with its tag: `vit_base_patch14_dinov2.lvd142m`."""
    timm_default: bool = False
    """timm gives these weights where its name is written without the tag."""
    weights_of: str = ""
    """timm's name whose repository on the hub holds the weights, if it is not `timm`'s own."""
    on_hub: bool = True
    """The weights lie on the Hugging Face hub. Otherwise they have to be given as a file."""
    plain: bool = True
    """A plain vision transformer: one token per patch from end to end. Otherwise hierarchical."""

    parameters_m: float
    """Of the encoder that is fine-tuned, in millions, at its native patch and image size: without head, pooling or
    (SAM) neck."""
    dim: int
    """Channels of its features."""
    patch: int
    """Side of a patch, pixels. Of a hierarchical encoder, the stride of its last map."""
    image: int
    """Side of the square images that the weights were last trained at, pixels."""
    final_norm: bool = True
    """Its features are the output of its own last norm. Otherwise they are not normalised: their scale is its own."""

    objective: str
    """What it was trained to do, in words."""
    mim: Mim | None
    """Masked image modelling: what is predicted at masked patches. `abstract`: features or tokens."""
    supervision: tuple[Supervision, ...] = ()
    """Human signals that it was trained on itself; empty for none."""
    teacher_supervision: tuple[Supervision, ...] = ()
    """Those that reached it through a teacher or a tokeniser."""
    contrastive: bool = False
    """Images against texts, with a softmax or a sigmoid."""
    self_distillation: bool = False
    """Towards a slowly moving copy of itself, or, in small sizes, towards the finished largest one."""
    autoregressive: bool = False
    """Patches are predicted one after another."""
    promptable: bool = False
    """Pretrained for promptable segmentation."""

    data: tuple[str, ...]
    """Names of the pretraining data; empty if unpublished. Where it is `initialised_from` another card, those of the
    last stage alone."""
    images_seen_m: float | None = None
    """Images that went by on these data, repeats counted, in millions, to two or three digits."""
    pretraining_seed: int | None = None
    """Of an encoder that was pretrained several times, which of them it is."""
    initialised_from: str | None = None
    """Name of the card from whose weights training began."""
    distilled_from: tuple[str, ...] = ()
    """Teachers: names of cards, where there is one, otherwise of models."""
    saw: tuple[Exposure, ...] = ()
    """Evaluation sets whose images the pretraining is known to have seen. Empty does not mean that there are none."""

    licence: str
    """Of the weights, as timm states it; a key of `LICENCES`."""
    paper: str
    """arXiv number."""
    year: int
    """Of the paper's first version."""
    publisher: str
    in_paper: bool = False
    """One of the twenty that arXiv 2404.12172 compares."""
    notes: tuple[str, ...] = ()
    """Traps."""

    @property
    def reference(self) -> str:
        """What goes into a spec's `encoder`."""
        return f"timm:{self.timm}"

    @property
    def size(self) -> Size:
        """By parameters: see `SIZE_LIMITS_M`."""
        return next(size for size, limit_m in SIZE_LIMITS_M.items() if self.parameters_m <= limit_m)

    @property
    def grid(self) -> int:
        """Patches along a side at the native image size."""
        return self.image // self.patch

    @property
    def depth(self) -> int | None:
        """Blocks of a plain vision transformer; none for another."""
        own = next((depth for name, depth in _OTHER_DEPTHS.items() if self.timm.startswith(name)), None)
        return own or _DEPTHS.get(self.dim) if self.plain else None

    @property
    def terms(self) -> Terms:
        """What kind of licence the weights have."""
        return LICENCES[self.licence]

    @property
    def supervised_by(self) -> tuple[Supervision, ...]:
        """Human signals, whether direct or through a teacher: the column of the paper's table."""
        return tuple(
            kind for kind in get_args(Supervision) if kind in self.supervision or kind in self.teacher_supervision
        )

    @property
    def repository(self) -> str | None:
        """On the Hugging Face hub."""
        return f"timm/{self.weights_of or self.timm}" if self.on_hub else None

    def to_data(self) -> dict[str, Any]:
        """All fields and all that follows from them, as JSON has it: to be read without this catalogue."""
        own: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        derived = ("reference", "size", "grid", "terms", "supervised_by", "repository")
        data = {**own, "saw": [seen._asdict() for seen in self.saw], **{name: getattr(self, name) for name in derived}}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}


class Lineage(NamedTuple):
    """A step from one card to another of the same size, for the question whether it helped."""

    child: str
    parent: str
    kind: Kind
    """`continued`: the child starts from the parent's weights. `controlled`: nothing but what is named changed (more
    data are also more images seen). `successor`: several things changed at once, so the step as a whole is judged."""
    changed: str
