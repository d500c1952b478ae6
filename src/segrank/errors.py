"""Everything segrank raises on purpose.

    SegrankError
    ├── SpecError         a spec, an override or a YAML file that does not say a valid run
    ├── DataError         a dataset: its definition, an archive, an image, a mask
    ├── EncoderError      an encoder that is unknown, or cannot be built as asked
    │   └── WeightsError  a weights file that is unsafe, damaged or of another model
    ├── StoreError        a results folder: a damaged or newer record, no such run, no space
    │   └── ClaimError    somebody else is running this run, or took it over
    ├── TrainingError     a run that cannot go on: loss not finite, out of memory at one image
    └── RankingError      results that cannot be ranked: a table that cannot be read, rows that are not comparable

A message says what was found, what was wanted and what to do.
"""

from __future__ import annotations


class SegrankError(Exception):
    """Base of the tree.

    Args:
        found: what was met, with the file or field it was met in.
        wanted: what would have been right.
        fix: what the reader can do about it.
    """

    def __init__(self, found: str, *, wanted: str = "", fix: str = "") -> None:
        self.found, self.wanted, self.fix = found, wanted, fix
        lines = [found]
        if wanted:
            lines.append(f"wanted: {wanted}")
        if fix:
            lines.append(f"do this: {fix}")
        super().__init__("\n".join(lines))


class SpecError(SegrankError):
    """A spec, an override or a YAML file that does not say a valid run."""


class DataError(SegrankError):
    """A dataset definition, archive, image or mask that cannot be used."""


class EncoderError(SegrankError):
    """An encoder that is unknown, or cannot be built as asked."""


class WeightsError(EncoderError):
    """A weights file that is unsafe, damaged, or of another model."""


class StoreError(SegrankError):
    """A results folder that cannot be read or written as it should."""


class ClaimError(StoreError):
    """A run that another process is running, or has taken over."""


class TrainingError(SegrankError):
    """A run that cannot go on."""


class RankingError(SegrankError):
    """A table of results that cannot be read, or results that may not be ranked together."""
