"""PretrainSpec: one controlled pretraining, completely and flatly described. No torch here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from segrank.errors import SpecError
from segrank.files import read_yaml
from segrank.spec import Crop, Precision, files_beside, parse_reference, spec_error

SCHEMA = 1
"""Part of every key; raised only when an unchanged spec would come to mean another pretraining."""

Objective = Literal["supervised", "pixel-mim", "abstract-mim", "self-distillation", "contrastive", "promptable", "none"]

OBJECTIVE_FIELDS: dict[str, tuple[Objective, ...]] = {
    "mask_ratio": ("pixel-mim", "abstract-mim"),
    "target_blocks": ("abstract-mim",),
    "teacher_momentum": ("abstract-mim", "self-distillation"),
    "prototypes": ("self-distillation",),
    "local_views": ("self-distillation",),
    "temperature": ("contrastive",),
    "clicks": ("promptable",),
}
"""Field -> the objectives that read it; asking another one for it is an error, not an option without effect."""


class PretrainSpec(BaseModel):
    """One pretraining: an objective on an architecture, on images, within a budget, with a seed.

    Everything but `objective` and what belongs to one objective alone is meant to be equal among those that are
    compared. Every field is a key of `--set key=value`.

    Raises:
        SpecError: a field is unknown, of the wrong type, out of range, or does not fit another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    name: str = Field(default="", max_length=120)
    """What its encoder is called, with the seed behind it; the objective, unless it is said. No part of what makes two
    pretrainings the same."""
    objective: Objective
    """What is learnt from the images: `supervised` (which classes an image shows), `pixel-mim` (MAE), `abstract-mim`
    (data2vec: features of a slowly moving copy), `self-distillation` (DINO), `contrastive` (SimCLR), `promptable` (the
    mask of the thing that was clicked). `none`: nothing, the weights that all of them begin with."""
    architecture: str = Field(default="timm:vit_tiny_patch16_224", max_length=4400)
    """`timm:NAME?k=v` of a plain vision transformer with a table of positions. It starts from random weights."""
    dataset: str = Field(min_length=1, max_length=4096)
    """As in a run's spec. `supervised` and `promptable` read its masks, the others its images only."""
    split: str = Field(default="train", min_length=1, max_length=128)
    """Split to pretrain on."""
    crop: Crop = (224, 224)
    """Height and width that the encoder sees, pixels."""
    patch_size: int = Field(default=16, ge=1, le=128)
    """Side of a patch, pixels."""
    steps: int = Field(default=100_000, ge=1, le=100_000_000)
    """Optimiser steps."""
    batch_size: int = Field(default=256, ge=2, le=65_536)
    """Images per optimiser step, over all devices."""
    lr: float = Field(default=1e-3, gt=0, le=100)
    """Largest learning rate: it rises linearly over `warmup` and falls to 0 along a cosine."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps."""
    weight_decay: float = Field(default=0.05, ge=0, le=10)
    """AdamW's, on matrices; not on norms, biases, tokens and positions."""
    clip: float = Field(default=3.0, gt=0, le=1e6)
    """Largest norm of the gradient."""
    mask_ratio: float = Field(default=0.75, gt=0, lt=1)
    """Of the patches. Masked image modelling only."""
    target_blocks: int = Field(default=4, ge=1, le=64)
    """How many last blocks of the teacher the features to predict are the mean of. `abstract-mim` only."""
    teacher_momentum: float = Field(default=0.996, ge=0, lt=1)
    """At step 0; it rises to 1 along a cosine. `abstract-mim` and `self-distillation` only."""
    prototypes: int = Field(default=1024, ge=2, le=1_000_000)
    """Outputs of the head. `self-distillation` only."""
    local_views: int = Field(default=4, ge=0, le=32)
    """Small crops beside the two large ones. `self-distillation` only."""
    temperature: float = Field(default=0.2, gt=0, le=100)
    """`contrastive` only."""
    clicks: int = Field(default=8, ge=1, le=256)
    """An image's. `promptable` only."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """fp32, or bf16/fp16 mixed. `auto`: fp32 on a CPU, bf16 or else fp16 on a GPU."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Of initialisation, order, views. The initial weights are the same for every objective."""

    @model_validator(mode="wrap")
    @classmethod
    def _errors_as_ours(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise spec_error(error, "the pretraining", tuple(cls.model_fields)) from None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if parse_reference(self.architecture).scheme != "timm":
            raise SpecError(
                f'"{self.architecture[:120]}" cannot be pretrained',
                wanted="timm:NAME?k=v of a plain vision transformer",
            )
        for field, objectives in OBJECTIVE_FIELDS.items():
            if field in self.model_fields_set and self.objective not in objectives:
                default = type(self).model_fields[field].default
                if getattr(self, field) != default:
                    raise SpecError(
                        f"{field} does nothing with objective={self.objective}",
                        wanted=f"{field} with {' or '.join(objectives)}",
                        fix="leave it out, or give it to that objective alone",
                    )
        height, width = self.crop
        if height != width or height % self.patch_size:
            raise SpecError(
                f"the crop is {height}x{width}",
                wanted=f"a square whose side is a multiple of the patch, {self.patch_size}",
                fix=f"use {max(1, round(height / self.patch_size)) * self.patch_size}",
            )
        return self

    @property
    def called(self) -> str:
        """`pixel-mim`, or its own name; the family of its encoder."""
        return self.name or self.objective

    @property
    def encoder(self) -> str:
        """What its encoder is called: `pixel-mim-0`."""
        return f"{self.called}-{self.seed}"

    def replace(self, **changes: Any) -> PretrainSpec:
        """A copy with other values, checked like a new one."""
        return PretrainSpec(**{**self.model_dump(exclude_unset=True), **changes})


def identity(spec: PretrainSpec, dataset_digest: str, precision: Precision) -> dict[str, Any]:
    """What makes two pretrainings the same: the fields that differ from their defaults, the dataset as its digest."""
    fields = spec.model_dump(exclude_defaults=True, exclude={"name"})
    return {"pretraining": SCHEMA, **fields, "dataset": dataset_digest, "precision": precision}


def _seeds(value: object) -> object:
    """3 -> 0, 1, 2."""
    return list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str = Field(default="", max_length=2000)
    set: dict[str, Any] = {}
    """Fields of all of them."""
    objectives: Annotated[list[str | dict[str, dict[str, Any]]], Field(min_length=1, max_length=100)]
    """Names of objectives, or a name with fields of its own."""
    seeds: Annotated[list[int], BeforeValidator(_seeds), Field(min_length=1, max_length=1000)] = [0]


def read_pretrainings(path: str | Path, overrides: Mapping[str, Any] | None = None) -> list[PretrainSpec]:
    """All pretrainings of a YAML file, the objectives of one seed before those of the next; of a study's file, those
    that it begins with.

        set: {architecture: "timm:vit_tiny_patch16_224", dataset: scenes, steps: 5000}
        objectives: [pixel-mim, contrastive, {pixel-mim-half: {objective: pixel-mim, mask_ratio: 0.5}}]
        seeds: 3

    Args:
        path: the file.
        overrides: fields of all of them, instead of the file's; `seed` stands for its seeds.

    Raises:
        SpecError: what it says cannot be done; the message names the objective.
    """
    content = read_yaml(Path(path))
    if "encoders" in content and "pretrain" not in content:
        raise SpecError(f"{path} is a study that pretrains nothing", wanted="a file that names objectives")
    return pretrainings_of(content.get("pretrain", content), Path(path), overrides)


def pretrainings_of(
    content: Mapping[str, Any], path: Path, overrides: Mapping[str, Any] | None = None
) -> list[PretrainSpec]:
    """The same from what such a file says, or a part of another file.

    Args:
        content: of it.
        path: the file, for messages, and since files that are named lie beside it.
        overrides: as for `read_pretrainings`.

    Raises:
        SpecError: what it says cannot be done.
    """
    try:
        file = _File(**content)
    except ValidationError as error:
        raise spec_error(error, str(path), tuple(_File.model_fields)) from None
    overrides = overrides or {}
    seeds = [overrides["seed"]] if "seed" in overrides else file.seeds
    entries: dict[str, dict[str, Any]] = {}
    for entry in file.objectives:
        for name, fields in ({entry: {}} if isinstance(entry, str) else entry).items():
            if name in entries:
                raise SpecError(f'{path} has "{name[:80]}" twice', fix="give one of them a name of its own")
            entries[name] = {"name": name, **fields} if "objective" in fields else {"objective": name, **fields}
    return [
        _pretraining(path, name, {**file.set, **own, **overrides, "seed": seed})
        for seed, (name, own) in itertools.product(seeds, entries.items())
    ]


def _pretraining(path: Path, name: str, fields: dict[str, Any]) -> PretrainSpec:
    try:
        return PretrainSpec(**{**fields, **files_beside(fields, path.parent)})
    except SpecError as error:
        raise SpecError(f"{path}, {name[:80]}: {error}") from error
