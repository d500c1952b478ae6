"""Record and Evaluation: what a run leaves behind, and what everything later is computed from.

No torch here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from segrank.errors import StoreError
from segrank.spec import RunSpec

RECORD_SCHEMA = 2
"""Raised when records get fields that an older segrank does not know.

1: as first released. 2: specs may train a part of the encoder, or on few images. What schema 1 lacks has defaults that
mean what it meant, so its records are read as they stand.
"""

KEY = r"^[0-9a-f]{16}$"
"""Keys name folders, so a record from elsewhere may hold nothing else there."""

Status = Literal["ok", "failed", "interrupted"]


class Stored(BaseModel):
    """What lies in a store as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> str:
        return self.model_dump_json(indent=1) + "\n"


Part = Literal["data", "encoder", "decoder", "optimizer", "evaluation"]
"""What a run's time goes to."""


class Cost(Stored):
    """What a run took. Seconds are summed over attempts and exclude work lost at a kill."""

    train_s: float = Field(default=0.0, ge=0)
    """Optimiser steps, without the wait for data."""
    data_wait_s: float = Field(default=0.0, ge=0)
    """The loop standing still until a batch was there."""
    encoder_s: float = Field(default=0.0, ge=0)
    """Of `train_s`: the encoder's forward and backward, on the first device."""
    decoder_s: float = Field(default=0.0, ge=0)
    """Of `train_s`: the decoder's and the loss's forward and backward."""
    optimizer_s: float = Field(default=0.0, ge=0)
    """Of `train_s`: the optimiser's steps."""
    evaluation_s: float = Field(default=0.0, ge=0)
    """All evaluations of the run, along the way and final."""
    images_per_s: float | None = Field(default=None, ge=0)
    """Training images per second of `train_s` + `data_wait_s`."""
    peak_host_gib: float | None = Field(default=None, ge=0)
    """Largest resident memory of the process."""
    peak_device_gib: float | None = Field(default=None, ge=0)
    """Largest allocated memory of one GPU; none on a CPU."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Images per forward pass on one device."""
    encoder_parameters: int | None = None
    decoder_parameters: int | None = None
    trained_parameters: int | None = None
    forward_flops: int | None = None
    """Of one crop through encoder and decoder, a multiply-add as 2, attention counted."""
    train_flops: int | None = None
    """Of one crop through forward and backward."""
    bounded_by: Part | None = None
    """What took the most time: the part to make faster first."""

    def parts(self) -> dict[Part, float]:
        """Seconds by what took them; `data` is the wait for it."""
        return {
            "data": self.data_wait_s,
            "encoder": self.encoder_s,
            "decoder": self.decoder_s,
            "optimizer": self.optimizer_s,
            "evaluation": self.evaluation_s,
        }


class WeightsReport(Stored):
    """Which keys of a weights file went where."""

    source: str = "random"
    """`random`, `pretrained: TAG`, the file's name, or `as built` for an own encoder without a file."""
    sha256: str = ""
    loaded: int = 0
    resampled: tuple[str, ...] = ()
    """Keys whose values were resized to the run's patch size or grid."""
    missing: tuple[str, ...] = ()
    """Keys of the model that the file lacks. A file that lacks any is refused, so a run that trained has none."""
    unexpected: tuple[str, ...] = ()
    """Keys of the file that the model has no place for."""


class Provenance(Stored):
    """Where and with what a run was made: what may change bits, but not meaning."""

    segrank: str = ""
    python: str = ""
    torch: str = ""
    timm: str = ""
    platform: str = ""
    git: str = ""
    """Commit of segrank's source where it is a checkout, with `+` if it had changes."""
    host: str = ""
    device: str = ""
    devices: int = 1
    workers: int = 0
    attempts: int = 1
    """How many attempts it took, this one included."""
    started: str = ""
    """UTC, ISO 8601; of the first attempt."""
    finished: str = ""
    weights: WeightsReport = WeightsReport()
    train_images: int | None = None
    """Images drawn to train on, mostly the whole split, those skipped for a label of one value included."""


@lru_cache(maxsize=256)
def _held_once(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


Names = Annotated[tuple[str, ...], AfterValidator(_held_once)]
"""Of classes: thousands of evaluations share the same 150 of them, and one tuple."""


class Scores(Stored):
    """Computed from an evaluation's counts, and from nothing else."""

    miou: float = Field(ge=0, le=1)
    """Mean of `iou` over `scored_classes`."""
    iou: tuple[float | None, ...]
    """Per class in the dataset's order: intersection / union; none for a class that is not scored."""
    scored_classes: Names
    """The classes that have labelled pixels in the evaluated split."""
    pixel_accuracy: float = Field(ge=0, le=1)
    pixels: int = Field(ge=0)
    """Labelled pixels."""


class Evaluation(Stored):
    """A run's weights, scored on one split in one way."""

    record_schema: int = RECORD_SCHEMA
    key: str = Field(pattern=KEY)
    run: str = Field(pattern=KEY)
    """Key of the run."""
    dataset: str
    """As it was asked for."""
    dataset_digest: str
    """Of the definition and the list of files of the split."""
    split: str
    precision: Literal["fp32", "bf16", "fp16"]
    step: int = Field(ge=0)
    """Optimiser steps behind the weights."""
    final: bool
    """Whether that was the last one. Others are the evaluations along the way, on part of the split."""
    also: tuple[str, ...] = ()
    """What was counted besides confusions: `boundary`, `calibration`."""
    corruption: str = ""
    """What the images were spoilt with (`segrank.evaluate.corruptions`); empty for images as they are."""
    severity: int = Field(default=0, ge=0, le=5)
    """Of the corruption, from 1."""
    classes: Names
    images: int
    """Images scored."""
    scores: Scores
    seconds: float = Field(ge=0)
    counts_sha256: str = ""
    """Of the counts.parquet that the scores come from."""


class Record(Stored):
    """One run."""

    record_schema: int = RECORD_SCHEMA
    key: str = Field(pattern=KEY)
    status: Status
    error: str = ""
    """Of a failed run: the error with its last lines of traceback."""
    spec: RunSpec
    identity: dict[str, Any]
    """What the key is a hash of."""
    precision: Literal["fp32", "bf16", "fp16"]
    """What the spec's precision came to."""
    card: dict[str, JsonValue] | None = None
    """What was known of the encoder when the run began (`Card.to_data`), to group by; none where it has no card."""
    step: int = Field(default=0, ge=0)
    """Optimiser steps done."""
    cost: Cost = Cost()
    provenance: Provenance = Provenance()
    final: str = ""
    """Key of the final evaluation that the spec asks for."""
    attempt: str = Field(pattern=r"^[0-9a-f]{12}$")
    """Token of the attempt that made it."""
    files: dict[str, str] = {}
    """Name and sha256 of the files published with the record."""
    evaluations: tuple[Evaluation, ...] = Field(default=(), exclude=True)
    """Read from the files beside the record; a record's own file does not repeat them."""

    @property
    def evaluation(self) -> Evaluation | None:
        """The final evaluation that the run's own spec asks for."""
        return next((e for e in self.evaluations if e.key == self.final), None)

    @property
    def miou(self) -> float | None:
        """Of `evaluation`: 0 to 1, or none where there is no score."""
        return self.evaluation.scores.miou if self.evaluation else None


T = TypeVar("T", bound=Stored)


def load(kind: type[T], text: str, source: str) -> T:
    """Read a record or an evaluation back; of an older schema, as one of today's.

    Raises:
        StoreError: the text is damaged, or was written by a newer segrank.
    """
    import json

    try:
        content = json.loads(text)
        schema = content.get("record_schema")
    except (ValueError, AttributeError, RecursionError) as error:
        raise StoreError(
            f"{source} is damaged: {error}",
            wanted=f"a {kind.__name__}",
            fix="restore it, or move its folder away",
        ) from error
    if not isinstance(schema, int) or not 1 <= schema <= RECORD_SCHEMA:
        raise StoreError(
            f"{source} has schema {str(schema)[:40]}", wanted=f"1 to {RECORD_SCHEMA}", fix="use a newer segrank"
        )
    try:
        return kind.model_validate({**content, "record_schema": RECORD_SCHEMA})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StoreError(
            f"{source} is damaged at {place}: {first['msg']}", fix="restore it, or move its folder away"
        ) from None
