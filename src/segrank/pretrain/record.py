"""What a pretraining leaves: a record, and a card that says how its encoder came about. No torch."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from segrank.pretrain.spec import PretrainSpec
from segrank.record import KEY, RECORD_SCHEMA, Provenance, Status, Stored
from segrank.spec import Precision


class Health(BaseModel):
    """Whether features of patches still differ, on a fixed set of images, and what the loss has come to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    rank: float
    """Effective rank of the patches' features: exp of the entropy of the normalised singular values (RankMe, arXiv
    2210.02885), from 1 to the number of channels."""
    spread: float
    """Standard deviation of a channel over patches, the mean over channels, as a share of the features' root mean
    square: 0 if all patches are alike."""
    loss: float | None = None
    """The mean since the last look; none before the first step."""


class PretrainRecord(Stored):
    """One pretraining."""

    record_schema: int = RECORD_SCHEMA
    key: str = Field(pattern=KEY)
    name: str = ""
    """As the file of pretrainings called it."""
    status: Status
    error: str = ""
    spec: PretrainSpec
    identity: dict[str, Any]
    precision: Precision
    step: int = Field(default=0, ge=0)
    train_s: float = Field(default=0, ge=0)
    """Of all attempts, without work lost at a kill."""
    images: int = 0
    """In the split."""
    parameters: int = 0
    """Of the encoder."""
    health: tuple[Health, ...] = ()
    warnings: tuple[str, ...] = ()
    card: dict[str, JsonValue] = Field(default={})
    provenance: Provenance = Provenance()
    attempt: str = Field(pattern=r"^[0-9a-f]{12}$")
    files: dict[str, str] = Field(default={})
    """Name and sha256 of the files published with the record."""
