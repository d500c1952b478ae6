"""Pretrainings as a coordinator brings them home, and a study with the weights that they leave. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

from segrank.attempt import WEIGHTS
from segrank.data import open_dataset
from segrank.errors import SegrankError
from segrank.pretrain.spec import PretrainSpec, identity
from segrank.pretrain.store import PretrainStore
from segrank.spec import key_of
from segrank.study.devices import device_for, precision_for
from segrank.study.study import Study


@dataclass(frozen=True)
class PretrainingUnit:
    """One pretraining: see `Unit`."""

    key: str
    encoder: str
    """What comes of it: `pixel-mim-0`."""
    spec: PretrainSpec
    """Its precision resolved, the file of its dataset absolute."""
    settings: tuple[str, ...] = ("pretraining",)
    evaluations: tuple[str, ...] = ()
    kind: ClassVar[str] = "pretraining"


class PretrainingUnits(NamedTuple):
    """What can be pretrained here, and what cannot."""

    units: tuple[PretrainingUnit, ...] = ()
    keys: Mapping[str, str] = {}
    """Encoder -> key; two that differ in their name alone are one pretraining."""
    refused: Mapping[str, str] = {}
    """Encoder -> why its pretraining cannot be begun."""


def pretraining_units(
    specs: Sequence[PretrainSpec], *, device: str = "auto", root: str | os.PathLike[str] | None = None
) -> PretrainingUnits:
    """Compute the keys of pretrainings. Each dataset is listed once.

    Args:
        specs: what is to be pretrained.
        device: that they will be on: `auto`, `cpu` or `cuda`.
        root: the folder with the archives of named datasets; by default $SEGRANK_DATA.

    Raises:
        SpecError: there is no such device.
    """
    device = device_for(device)
    digests: dict[tuple[str, str], str | SegrankError] = {}
    units: dict[str, PretrainingUnit] = {}
    keys, refused = {}, {}
    for given in specs:
        try:
            precision = precision_for(given, device)
            spec = given.model_copy(update={"precision": precision, "dataset": _absolute(given.dataset)})
            images = digests.get((spec.dataset, spec.split))
            if images is None:
                images = digests[spec.dataset, spec.split] = _digest(spec, root)
            if isinstance(images, SegrankError):
                raise images
        except SegrankError as error:
            refused[given.encoder] = str(error)
            continue
        keys[given.encoder] = key = key_of(identity(spec, images, precision))
        units.setdefault(key, PretrainingUnit(key, given.encoder, spec))
    return PretrainingUnits(tuple(units.values()), keys, refused)


def _digest(spec: PretrainSpec, root: str | os.PathLike[str] | None) -> str | SegrankError:
    try:
        return open_dataset(spec.dataset, root).split(spec.split).digest()
    except SegrankError as error:
        return error


def _absolute(dataset: str) -> str:
    return str(Path(dataset).absolute()) if dataset.lower().endswith((".yaml", ".yml")) else dataset


def with_weights(study: Study, found: PretrainingUnits, store: PretrainStore) -> Study:
    """The study with the weights of pretrainings that are done; cells of the others say what they wait for.

    Args:
        study: as it was read.
        found: its pretrainings.
        store: where they lie.
    """
    done = {
        encoder: str((store.run_folder(key) / WEIGHTS).absolute())
        for encoder, key in found.keys.items()
        if (store.run_folder(key) / "record.json").is_file()
    }
    cells = []
    for cell in study.cells:
        if cell.encoder in done:
            cell = replace(cell, spec=cell.spec.replace(weights=done[cell.encoder]), waits_for="")
        elif why := found.refused.get(cell.encoder):
            cell = replace(cell, waits_for=f"it cannot be pretrained here: {why}")
        cells.append(cell)
    return replace(study, cells=tuple(cells))
