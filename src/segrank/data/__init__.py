"""Datasets: what they are, and how a reference to one is opened. No torch here."""

from __future__ import annotations

import os
from pathlib import Path

from segrank.data.dataset import IGNORE, Dataset, Sample, Split
from segrank.data.file_dataset import FileDataset
from segrank.data.official import OFFICIAL
from segrank.data.official.dataset import open_official
from segrank.data.official.find import data_root
from segrank.data.scenes import open_scenes
from segrank.errors import DataError, SpecError
from segrank.files import nearest
from segrank.spec import parse_reference

__all__ = ["IGNORE", "Dataset", "Sample", "Split", "open_dataset"]

_WANTED = "a dataset's name (see `segrank datasets`), a YAML file, or scenes?look=dusk&size=96x128"


def open_dataset(reference: str, root: str | os.PathLike[str] | None = None) -> Dataset:
    """The dataset that a reference names: `ade20k`, `gta5?parts=1-2`, `scenes?key=value&...`, or a YAML file.

    Args:
        reference: as in a spec.
        root: the folder to look for named datasets in; by default $SEGRANK_DATA. A YAML file names its own.

    Raises:
        DataError: there is no such dataset, or its options or definition are not valid.
    """
    path = Path(reference)
    if path.suffix.lower() in (".yaml", ".yml"):
        return FileDataset.open(path)
    try:
        scheme, name, options = parse_reference(reference)
    except SpecError as error:
        raise DataError(error.found, wanted=error.wanted or _WANTED, fix=error.fix) from None
    if not scheme and name in OFFICIAL:
        return open_official(name, options, data_root(root))
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
        fix=nearest(name.lower(), ("scenes", *OFFICIAL)) or "check the name",
    )
