"""Datasets: what they are, and how a reference to one is opened. No torch here."""

from __future__ import annotations

from pathlib import Path

from segrank.data.dataset import IGNORE, Dataset, Sample, Split
from segrank.data.folder import FolderDataset
from segrank.data.scenes import open_scenes
from segrank.errors import DataError, SpecError
from segrank.files import nearest
from segrank.spec import parse_reference

__all__ = ["IGNORE", "Dataset", "Sample", "Split", "open_dataset"]

_WANTED = "scenes, scenes?look=dusk&size=96x128, or the YAML file of a dataset"


def open_dataset(reference: str) -> Dataset:
    """The dataset that a reference names: `scenes?key=value&...`, or a YAML file.

    Raises:
        DataError: there is no such dataset, or its options or definition are not valid.
    """
    path = Path(reference)
    if path.suffix.lower() in (".yaml", ".yml"):
        return FolderDataset.open(path)
    try:
        scheme, name, options = parse_reference(reference)
    except SpecError as error:
        raise DataError(error.found, wanted=error.wanted or _WANTED, fix=error.fix) from None
    if not scheme and name == "scenes":
        return open_scenes(options)
    if len(reference) < 256 and path.is_dir():
        raise DataError(
            f"{reference} is a folder",
            wanted="the YAML file that says what its images and masks mean",
            fix="write one: see docs/add-a-dataset.md",
        )
    raise DataError(
        f'there is no dataset "{reference[:120]}"',
        wanted=_WANTED,
        fix=nearest(name, ("scenes",)) or "check the name",
    )
