"""What a diagnostic says. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["seen", "cannot be told", "not seen"]


@dataclass(frozen=True)
class Finding:
    """One diagnostic on one study. Where there are no data for it, there is none."""

    name: str
    """What was looked for."""
    verdict: Verdict
    """`not seen`: it was looked for with data that would have shown it."""
    seen: str
    """The evidence: numbers, encoders, settings."""
    means: str
    """What it says of the ranking."""
    do: str
    """What to do; empty if there is nothing to do."""
    runs: tuple[str, ...]
    """Keys, or lines of a file."""


def listed(names: Sequence[str], most: int = 6, mark: str = ", ") -> str:
    """The first of them, and how many more there are."""
    return mark.join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
