"""RunSpec: one run, completely and flatly described. No torch here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import parse_qsl

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from segrank.errors import SpecError
from segrank.files import canonical_json, digest, nearest, parse_yaml, read_yaml

SCHEMA = 1
"""Part of every key; raised only when an unchanged spec would come to mean another experiment."""

EVALUATION_FIELDS = ("eval_dataset", "eval_split", "score_precision")
"""Fields that say how a trained run is scored. They belong to an evaluation's identity, not to the run's."""

Precision = Literal["fp32", "bf16", "fp16"]


class Reference(NamedTuple):
    """`scheme:name?key=value&key=value`, taken apart."""

    scheme: str
    name: str
    options: dict[str, Any]


def parse_reference(text: str) -> Reference:
    """Take an encoder or dataset reference apart; option values are YAML scalars.

    >>> parse_reference("timm:vit_tiny_patch16_224?depth=6")
    Reference(scheme='timm', name='vit_tiny_patch16_224', options={'depth': 6})
    """
    head, _, query = text.partition("?")
    scheme, colon, name = head.partition(":")
    if not colon:
        scheme, name = "", head
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=32)
    except ValueError as error:
        raise SpecError(
            f'the options of "{text[:120]}" cannot be read: {error}', wanted="name?key=value&key=value"
        ) from error
    options: dict[str, Any] = {}
    for key, value in pairs:
        if key in options:
            raise SpecError(f'the option "{key}" stands twice in "{text[:120]}"', wanted="each option once")
        options[key] = parse_yaml(value, f'the option "{key}"')
    return Reference(scheme, name, options)


def _crop(value: object) -> object:
    """512, "512", "512x1024" or [512, 1024] -> (height_px, width_px)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", value.strip())):
        return int(match[1]), int(match[2] or match[1])
    return value


Crop = Annotated[
    tuple[Annotated[int, Field(ge=1, le=16_384)], Annotated[int, Field(ge=1, le=16_384)]],
    BeforeValidator(_crop),
    PlainSerializer(lambda crop: f"{crop[0]}x{crop[1]}", return_type=str),
]


def _count(value: object) -> object:
    """A whole number from 1, as it is or as text, or "all"."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        value = int(value)
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 10**9):
        return value
    raise PydanticCustomError("count", "a whole number of at least 1, or all, is wanted")


CountOrAll = Annotated[Literal["all"] | int, PlainValidator(_count), PlainSerializer(str, return_type=str)]

_ENCODER_NAMES = {
    "timm": r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}",
    "small": r"[a-z0-9][a-z0-9\-]{0,63}",
    "hf": r"[^\0\n]{1,4096}",
    "file": r"[^\0\n]{1,4096}\.py:[A-Za-z_]\w{0,127}",
    "python": r"[A-Za-z_][\w.]{0,255}:[A-Za-z_]\w{0,127}",
}


class RunSpec(BaseModel):
    """One run: an encoder with a decoder, fine-tuned on a dataset under a protocol with a seed.

    The defaults are the base setting of arXiv 2404.12172 on ADE20K's budget. Every field is a column of the
    results table and a key of `--set key=value`.

    Raises:
        SpecError: a field is unknown, of the wrong type, out of range, or does not fit another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    encoder: str = Field(max_length=4400)
    """`timm:NAME?k=v`, `small:NAME`, `hf:NAME_OR_FOLDER`, `file:model.py:build` or `python:package.module:build`."""
    dataset: str = Field(min_length=1, max_length=4096)
    """A dataset's name (`segrank datasets` lists them: `ade20k`, `scenes?look=dusk`), or a YAML file."""
    weights: str = Field(default="pretrained", min_length=1, max_length=4096)
    """`pretrained` (as the encoder's publisher has them), `random`, a file, or a folder of files that are called after
    their encoders."""
    decoder: Literal["linear", "mask2former", "eomt"] = "linear"
    """What turns features into class scores: `linear`, or masks and their classes by queries: `mask2former` on the
    features, `eomt` (encoder-only) in the last blocks of a plain vision transformer."""
    ignored_pixels: Literal["excluded", "negative"] = "excluded"
    """Unlabelled pixels take no part in losses of masks, or count as `negative` for each mask (the reference's way)."""
    freeze: bool = False
    """Keep the encoder as it is and train the decoder alone (linear probing)."""
    trained_blocks: CountOrAll = "all"
    """Of a plain vision transformer, train only so many of the last blocks, and the final norm; `all`: the whole
    encoder."""
    lora_rank: int = Field(default=0, ge=0, le=1024)
    """Of a plain vision transformer, train only low-rank adapters of this rank on the linear layers of its blocks, at
    the rate `lr`; 0: none. Needs `segrank[lora]`."""
    lora_alpha: float = Field(default=16.0, gt=0, le=65_536)
    """Adapters are scaled by this over their rank."""
    patch_size: int = Field(default=16, ge=1, le=128)
    """Side of a patch, pixels. Weights of another patch size are resampled."""
    crop: Crop = (512, 512)
    """Height and width that the encoder sees, pixels; `512` or `512x1024`."""
    normalisation: Literal["own", "imagenet"] = "own"
    """Mean and standard deviation of the input: the encoder's `own`, or `imagenet` for all."""
    train_split: str = Field(default="train", min_length=1, max_length=128)
    """Split to train on."""
    train_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the split's images to train on, drawn by the seed; a smaller one is part of a larger one."""
    images_per_class: CountOrAll = "all"
    """Train on few images, drawn by the seed so that each class occurs in at least so many where it can; fewer are part
    of more."""
    eval_dataset: str = Field(default="", max_length=4096)
    """Dataset to score on; empty for the one trained on."""
    eval_split: str = Field(default="val", min_length=1, max_length=128)
    """Split to score on."""
    steps: int = Field(default=40_000, ge=1, le=100_000_000)
    """Optimiser steps."""
    batch_size: int = Field(default=16, ge=1, le=65_536)
    """Images per optimiser step, over all devices and micro-batches."""
    lr: float = Field(default=1e-4, gt=0, le=100)
    """Learning rate of everything but the encoder, at step 0."""
    encoder_lr_multiplier: float = Field(default=0.1, gt=0, le=100)
    """The encoder's learning rate is this times `lr`. What is frozen, and LoRA's adapters, do not heed it."""
    weight_decay: float = Field(default=0.05, ge=0, le=10)
    """AdamW's, on every trained parameter."""
    poly_power: float = Field(default=0.9, ge=0, le=100)
    """lr(step) = lr * (1 - step / steps) ** poly_power."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of training: fp32, or bf16/fp16 mixed. `auto`: fp32 on a CPU, bf16 or else fp16 on a GPU."""
    score_precision: Precision = "fp32"
    """Of the final scores: `fp32`, `bf16` or `fp16`."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Of initialisation, order, augmentation, and of which images are drawn where not all are trained on."""

    @model_validator(mode="wrap")
    @classmethod
    def _errors_as_ours(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise spec_error(error, "the spec", tuple(cls.model_fields)) from None

    @model_validator(mode="after")
    def _check(self) -> Self:
        scheme, name, _ = parse_reference(self.encoder)
        if scheme not in _ENCODER_NAMES or not re.fullmatch(_ENCODER_NAMES[scheme], name):
            guess = f'did you mean "timm:{self.encoder}"?' if not scheme and "/" not in name else ""
            raise SpecError(
                f'"{self.encoder[:120]}" is no encoder',
                wanted="timm:NAME, small:NAME, hf:NAME, file:model.py:build or python:package.module:build",
                fix=guess,
            )
        if self.decoder == "linear" and self.ignored_pixels != "excluded":
            raise SpecError(
                f"ignored_pixels={self.ignored_pixels} does nothing with decoder=linear",
                wanted="decoder=mask2former or eomt, whose losses compare masks",
                fix="leave ignored_pixels out",
            )
        if self.decoder == "eomt" and scheme not in ("timm", "small"):
            raise SpecError(
                f"decoder=eomt cannot open {self.encoder[:120]}",
                wanted="timm:NAME of a plain vision transformer, or small:NAME",
                fix="use decoder=linear or mask2former, which any encoder can have",
            )
        self._check_part_of_the_encoder(scheme)
        if self.train_fraction != 1 and self.images_per_class != "all":
            raise SpecError("train_fraction and images_per_class are both set", fix="leave one of them out")
        for side in self.crop:
            if side % self.patch_size:
                below = side // self.patch_size * self.patch_size
                choices = [str(size) for size in (below, below + self.patch_size) if size]
                raise SpecError(
                    f"crop {side} is not a multiple of patch {self.patch_size}",
                    fix=f"use {' or '.join(choices)}",
                )
        return self

    def _check_part_of_the_encoder(self, scheme: str) -> None:
        ways = {
            "freeze=true": self.freeze,
            f"trained_blocks={self.trained_blocks}": self.trained_blocks != "all",
            f"lora_rank={self.lora_rank}": self.lora_rank != 0,
        }
        chosen = [way for way, is_chosen in ways.items() if is_chosen]
        if len(chosen) > 1:
            raise SpecError(
                f"{' and '.join(chosen)} exclude each other",
                wanted="one way to train a part of the encoder, or none of it",
                fix=f"leave {' or '.join(chosen)} out",
            )
        if chosen and not self.freeze and scheme not in ("timm", "small"):
            raise SpecError(
                f"{chosen[0]} cannot be done with {self.encoder[:120]}",
                wanted="timm:NAME of a plain vision transformer, or small:NAME",
                fix="use freeze=true, or train the whole encoder",
            )
        if not self.lora_rank and self.lora_alpha != RunSpec.model_fields["lora_alpha"].default:
            raise SpecError(f"lora_alpha={self.lora_alpha:g} does nothing with lora_rank=0", fix="leave lora_alpha out")

    def replace(self, **changes: Any) -> RunSpec:
        """A copy with other values, checked like a new one."""
        return RunSpec(**{**dict(self), **changes})

    def to_yaml(self) -> str:
        """The fields that differ from their defaults, as YAML that `read_spec` takes back."""
        fields = self.model_dump(exclude_defaults=True)
        return "".join(f"{name}: {canonical_json(value)}\n" for name, value in fields.items())


def field_table() -> list[tuple[str, str, str]]:
    """Name, default and meaning of every field."""
    defaults = RunSpec(encoder="small:any", dataset="any").model_dump()
    return [
        (name, "required" if field.is_required() else str(defaults[name]), field.description or "")
        for name, field in RunSpec.model_fields.items()
    ]


def spec_error(error: ValidationError, what: str, known: tuple[str, ...]) -> SpecError:
    """pydantic's complaint in our words. Values are cut short: they may be hostile."""
    lines = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(str(part) for part in item["loc"]) or "value"
        if item["type"] == "extra_forbidden":
            lines.append(f'unknown key "{field[:80]}"; {nearest(field, known) or "known: " + ", ".join(known)}')
        else:
            lines.append(f"{field[:80]}: {item['msg']}")
    return SpecError(f"{what} is not valid: " + "\n  ".join(lines[:8]))


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """`["steps=2000", "lr=1e-3"]` -> `{"steps": 2000, "lr": 0.001}`."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise SpecError(f'"{assignment[:120]}" is no override', wanted="key=value", fix="--set steps=2000")
        values[key.strip()] = parse_yaml(value, f"the value of {key}")
    return values


def read_spec(path: str | Path, changes: Mapping[str, Any] | None = None) -> RunSpec:
    """A spec from a YAML file, with other values for some fields.

    `dataset`, `eval_dataset` and `weights` that are files beside it are found there, and a folder of weights.
    """
    path = Path(path)
    fields = read_yaml(path)
    if odd := [key for key in fields if not isinstance(key, str)]:
        raise SpecError(f"{path} has the key {str(odd[0])[:80]}", wanted="names of fields", fix="see `segrank fields`")
    return RunSpec(**{**fields, **files_beside(fields, path.parent), **(changes or {})})


def files_beside(fields: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Those of the fields that name a file in this folder, by its path; a folder of weights likewise."""
    found = {}
    for name in ("dataset", "eval_dataset", "weights"):
        value = fields.get(name)
        with contextlib.suppress(OSError, ValueError):  # too long for a path, so a check of the spec refuses it
            if isinstance(value, str) and value not in ("", "pretrained", "random"):
                path = folder / value
                if path.is_file() or (name == "weights" and path.is_dir()):
                    found[name] = str(path)
    return found


def identity(spec: RunSpec, digests: Mapping[str, str], precision: Precision) -> dict[str, Any]:
    """What makes two specs the same experiment: the fields that differ from their defaults, paths as digests.

    Args:
        spec: the run.
        digests: for `dataset`, and for `weights` and `encoder` where they are files, what they contain.
        precision: the one that `auto` came to.
    """
    fields = spec.model_dump(exclude_defaults=True, exclude=set(EVALUATION_FIELDS))
    return {"schema": SCHEMA, **fields, **digests, "precision": precision}


def evaluation_identity(
    run: str,
    digest: str,
    split: str,
    precision: Precision,
    step: int,
    *,
    images: int | None = None,
    also: Iterable[str] = (),
    corruption: Iterable[Any] = (),
) -> dict[str, Any]:
    """What makes two evaluations the same.

    Args:
        run: key of the run.
        digest: of the split that is looked at; `split` is its name.
        step: optimiser steps that the weights have seen.
        images: how many of the split, evenly spread; none for all.
        also: what is counted besides confusions.
        corruption: what the images are spoilt with.
    """
    identity: dict[str, Any] = {
        "schema": SCHEMA,
        "run": run,
        "dataset": digest,
        "split": split,
        "precision": precision,
        "step": step,
        "images": images,
    }
    # what is not asked for is not in the identity, so that keys from before it could be asked for stay
    if also := tuple(also):
        identity["also"] = also
    if corruption := tuple(corruption):
        identity["corruption"] = corruption
    return identity


def key_of(identity: Mapping[str, Any]) -> str:
    """The name of a run or an evaluation: 16 hex digits of sha256 over its identity."""
    return digest(canonical_json(identity))[:16]
