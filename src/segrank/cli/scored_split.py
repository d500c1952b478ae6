"""The images that runs were scored on, opened again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segrank.data.dataset import Split


def scored_split(dataset: str, split: str, digest: str, root: Path | None) -> Split:
    """
    Args:
        dataset: as a spec names it.
        split: of it.
        digest: that it had when it was scored.
        root: where named datasets lie.

    Raises:
        DataError: it is not there, or is another one now.
    """
    from segrank.data import open_dataset
    from segrank.errors import DataError

    samples = open_dataset(dataset, root).split(split)
    if samples.digest() != digest:
        raise DataError(
            f"split {split} of {dataset[:120]} is not what the runs were scored on",
            wanted=f"the digest {digest}",
            fix="give its folder with --root, or do without its images",
        )
    return samples
