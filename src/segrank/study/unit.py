"""The runs of a study with the keys that they have here. No torch, no network."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, TypeVar, cast

from segrank.counts import BOUNDARY, CALIBRATION
from segrank.encoders.reference import encoder_digests
from segrank.encoders.whereabouts import whereabouts
from segrank.errors import SegrankError, WeightsError
from segrank.inputs import open_data
from segrank.spec import RunSpec, evaluation_identity, identity, key_of
from segrank.study.devices import device_for, precision_for
from segrank.study.study import Cell, Study

T = TypeVar("T")

_ALSO = [(), (BOUNDARY,), (CALIBRATION,), (BOUNDARY, CALIBRATION)]
"""What an evaluation may have counted besides and still be the one that was asked for."""


class AnySpec(Protocol):
    """What a folder's spec.json says is to be done there, as far as a coordinator cares."""

    @property
    def seed(self) -> int: ...

    @property
    def steps(self) -> int: ...

    def model_dump_json(self, *, indent: int) -> str: ...


class AnyUnit(Protocol):
    """What a coordinator brings home: a run, or a pretraining. The fields are those of `Unit`."""

    @property
    def kind(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def evaluations(self) -> tuple[str, ...]: ...

    @property
    def encoder(self) -> str: ...

    @property
    def settings(self) -> tuple[str, ...]: ...

    @property
    def spec(self) -> AnySpec: ...


@dataclass(frozen=True)
class Unit:
    """One run of a study with the evaluation that it is for: what an executor starts."""

    key: str
    """Of the run, and so the name of its folder."""
    evaluations: tuple[str, ...]
    """Keys of evaluations; one of them there means scored as asked. The first is the one that a run makes itself."""
    encoder: str
    """As the study calls it."""
    settings: tuple[str, ...]
    """Several if they come to the same."""
    spec: RunSpec
    """Its precision resolved, its paths absolute."""
    kind: ClassVar[str] = "run"


@dataclass(frozen=True)
class Missing:
    """A cell that cannot be run here yet."""

    encoder: str
    setting: str
    spec: RunSpec
    reason: str


class Units(NamedTuple):
    """What of a study can be run here, in its order, and what cannot."""

    units: tuple[Unit, ...]
    missing: tuple[Missing, ...]


def units_of(study: Study, *, device: str = "auto", root: str | os.PathLike[str] | None = None) -> Units:
    """Compute the keys of a study's runs. Each dataset is listed and each file of weights digested once.

    Weights that a hub has are not missing: the run fetches them.

    Args:
        study: what is to be run.
        device: that the runs will be on: `auto`, `cpu` or `cuda`; see `precision_for`.
        root: the folder with the archives of named datasets; by default $SEGRANK_DATA.

    Raises:
        SpecError: there is no such device.
    """
    device, once = device_for(device), _Once()
    units: dict[tuple[str, str], Unit] = {}
    missing = []
    for cell in study.cells:
        if cell.waits_for:
            missing.append(Missing(cell.encoder, cell.setting, cell.spec, cell.waits_for))
            continue
        try:
            unit = _unit(cell, device, root, once)
        except SegrankError as error:
            missing.append(Missing(cell.encoder, cell.setting, cell.spec, str(error)))
            continue
        same = units.setdefault((unit.key, unit.evaluations[0]), unit)
        if cell.setting not in same.settings:
            units[unit.key, unit.evaluations[0]] = replace(same, settings=(*same.settings, cell.setting))
    return Units(tuple(units.values()), tuple(missing))


class _Once:
    """Asks each question once, whatever the answer is: the runs of a study read the same few files."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, object] = {}

    def __call__(self, question: Hashable, ask: Callable[[], T]) -> T:
        if question not in self._answers:
            try:
                self._answers[question] = ask()
            except (SegrankError, OSError) as error:
                self._answers[question] = SegrankError(str(error))
        answer = self._answers[question]
        if isinstance(answer, SegrankError):
            raise answer.with_traceback(None)
        return cast(T, answer)


def _unit(cell: Cell, device: str, root: str | os.PathLike[str] | None, once: _Once) -> Unit:
    given = cell.spec
    precision = precision_for(given, device)
    paths = {name: once((name, getattr(given, name)), partial(_absolute, given, name)) for name in _PATHS}
    spec = given.model_copy(update={**paths, "precision": precision})
    digests = once(("weights", spec.encoder, spec.weights), lambda: _weights(spec))
    names = (spec.dataset, spec.train_split, spec.eval_dataset, spec.eval_split)
    trained_on, scored_on = once(("data", *names), lambda: _splits(spec, root))
    key = key_of(identity(spec, {**digests, "dataset": trained_on}, precision))
    evaluations = [
        key_of(evaluation_identity(key, scored_on, spec.eval_split, spec.score_precision, spec.steps, also=also))
        for also in _ALSO
    ]
    return Unit(key, tuple(evaluations), cell.encoder, (cell.setting,), spec)


def _splits(spec: RunSpec, root: str | os.PathLike[str] | None) -> tuple[str, str]:
    """Digests of what is trained and what is scored on."""
    data = open_data(spec, root)
    return data.train_split.digest(), data.eval_split.digest()


def _weights(spec: RunSpec) -> dict[str, str]:
    """Digests of the files that an encoder and its weights are, once it is clear that there are some."""
    digests = encoder_digests(spec.encoder, spec.weights)
    found = whereabouts(spec.encoder, spec.weights)
    if found.status == "missing" and found.on_hub is None:
        raise WeightsError(f"weights of {spec.encoder}: {found.found}", fix=found.advice)
    return digests


_PATHS = ("encoder", "weights", "dataset", "eval_dataset")


def _absolute(spec: RunSpec, name: str) -> str:
    """A field that may name a file, for a worker that is started elsewhere."""
    value: str = getattr(spec, name)
    scheme, _, rest = value.partition(":")
    if name == "encoder":
        local = scheme == "file" or (scheme == "hf" and Path(rest.partition("?")[0]).is_dir())
        return f"{scheme}:{Path(rest).absolute()}" if local else value
    named = (
        value in ("", "pretrained", "random") if name == "weights" else not value.lower().endswith((".yaml", ".yml"))
    )
    return value if named else str(Path(value).absolute())
