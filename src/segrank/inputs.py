"""What a run reads, and the identity that follows from it. No torch: planning asks for it too."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from segrank.data import open_dataset
from segrank.data.dataset import Dataset, Split
from segrank.data.file_dataset import FileSplit
from segrank.data.official.dataset import OfficialDataset
from segrank.encoders.reference import encoder_digests
from segrank.errors import DataError
from segrank.spec import Precision, RunSpec, identity


class Data(NamedTuple):
    """What a run reads."""

    dataset: Dataset
    train_split: Split
    eval_dataset: Dataset
    eval_split: Split


def open_data(spec: RunSpec, root: str | os.PathLike[str] | None = None) -> Data:
    """List the splits that the spec names; no image is decoded.

    Args:
        spec: the run.
        root: the folder to look for named datasets in.

    Raises:
        DataError: a definition or a split is not right, or the two datasets differ in their classes.
    """
    dataset = open_dataset(spec.dataset, root)
    eval_dataset = open_dataset(spec.eval_dataset, root) if spec.eval_dataset else dataset
    check_classes(spec.eval_dataset, eval_dataset.classes, dataset.classes)
    return Data(dataset, dataset.split(spec.train_split), eval_dataset, eval_dataset.split(spec.eval_split))


def data_lines(spec: RunSpec, data: Data) -> list[str]:
    """Of the named datasets among them: how many images of how many, and where they were found."""
    used = ((data.dataset, spec.train_split, data.train_split), (data.eval_dataset, spec.eval_split, data.eval_split))
    return [
        dataset.account(name, split)
        for dataset, name, split in used
        if isinstance(dataset, OfficialDataset) and isinstance(split, FileSplit)
    ]


def check_classes(name: str, classes: Sequence[str], trained: Sequence[str]) -> None:
    """Raises DataError unless a dataset has the classes that a run is trained for."""
    if tuple(classes) != tuple(trained):
        raise DataError(
            f"{name} has the classes {', '.join(classes)}"[:600],
            wanted=f"those that the run is trained for, in their order: {', '.join(trained)}"[:600],
            fix="map its labels to these classes with `ids` or `colours` in its YAML file",
        )


def identify(spec: RunSpec, train_split: Split, precision: Precision) -> dict[str, Any]:
    """The run's identity, with the digests of the files that the spec names."""
    digests = {**encoder_digests(spec.encoder, spec.weights), "dataset": train_split.digest()}
    return identity(spec, digests, precision)
