"""What `check_encoder` found, as data. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["ok", "wrong", "unsure", "skipped"]


TESTS = (
    "builds", "keys loaded", "shapes", "repeatable", "training mode", "batch", "gradient", "normalisation",
    "final norm", "prefix tokens", "registration", "resampling", "position table", "patch weights", "cost",
)  # fmt: skip
"""Names of the findings, in their order; `builds` is always among them."""


class Finding(BaseModel):
    """What one test saw."""

    model_config = ConfigDict(frozen=True)

    name: str
    status: Status
    """`unsure`: looked at, and cannot be decided; `skipped`: does not apply, or was not to be had. Neither is `ok`."""
    evidence: str
    """What was seen, in words and numbers."""
    advice: str = ""
    """Of a fault: what it probably is and what to do."""
    measured: dict[str, float] = {}
    """The numbers that decided, by name."""


class EncoderReport(BaseModel):
    """What was found in one encoder, built as a run would build it."""

    model_config = ConfigDict(frozen=True)

    reference: str
    weights: str
    """As asked for: `pretrained`, `random` or a file."""
    crop: tuple[int, int]
    """Height and width, pixels."""
    patch_size: int
    device: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Nothing is wrong. What is unsure or was skipped may be all the same."""
        return not self.with_status("wrong")

    def with_status(self, status: Status) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.status == status)

    def __getitem__(self, name: str) -> Finding:
        """The finding of a test by its name."""
        return next(finding for finding in self.findings if finding.name == name)
