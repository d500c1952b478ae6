"""What a study will take, before it takes it: runs, what is missing, time, memory and disk. No torch."""

from __future__ import annotations

import heapq
import math
import os
import shlex
import shutil
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from segrank.cards import card_of
from segrank.encoders.whereabouts import Whereabouts, whereabouts
from segrank.pretrain.spec import PretrainSpec
from segrank.pretrain.store import PretrainStore
from segrank.progress import Reporter, Silent
from segrank.spec import RunSpec
from segrank.store import Store
from segrank.study.calibrations import calibrate, known_calibrations, representatives
from segrank.study.devices import device_for, gpu_model, precision_for, visible_gpus
from segrank.study.images import Datasets
from segrank.study.observations import Observation, observations_in, place_of, took_s, traits_of
from segrank.study.predict import Prediction, Predictor
from segrank.study.predictions import Accuracy, accuracies, past_ratios, save_predictions
from segrank.study.pretraining_cost import predict_pretraining, pretraining_s, seen_in
from segrank.study.pretrainings import PretrainingUnits, pretraining_units, with_weights
from segrank.study.state import read_state
from segrank.study.study import AFTER_PRETRAINING, Study
from segrank.study.unit import Units, units_of

S = TypeVar("S")

_LOOKED_AT = 3
"""Finished runs of a kind whose records are read."""


@dataclass(frozen=True)
class PlannedRun:
    """A run of a study, or one of the pretrainings that come first."""

    key: str
    """Empty if it cannot be told here, since something that it reads is missing."""
    encoder: str
    """As the study calls it."""
    settings: tuple[str, ...]
    spec: RunSpec | PretrainSpec
    """Its precision resolved; a pretraining is planned like a run."""
    status: str
    """As `State.status`, or `missing`."""
    step: int
    """Steps that are done."""
    took_s: float | None
    """Of a run that is done: training and evaluations."""
    prediction: Prediction
    reason: str = ""
    """Of a missing one."""

    @property
    def share(self) -> float:
        """Of it that is still to be done."""
        return 0.0 if self.status == "done" else 1 - min(self.step, self.spec.steps) / self.spec.steps

    @property
    def remaining_s(self) -> float | None:
        """What it will still take; none where that is not known."""
        if self.status == "done":
            return 0.0
        counted_s = self.prediction.counted_s
        return None if counted_s is None else self.share * counted_s + self.prediction.rest_s


class Need(NamedTuple):
    """Something that runs read and that is not here."""

    what: str
    why: str
    runs: int


class Total(NamedTuple):
    """Of the runs that are not done."""

    runs: int
    unknown: int
    """Of them, for which no time is known."""
    seconds: float
    """Of those for which it is, one after another."""
    low_s: float
    """Of each the lower end of its range: their errors are likely to be alike."""
    high_s: float
    wall_s: float
    """On all devices at once; the cores of a CPU are shared, so there it is the same."""
    flops: int
    host_gib: float | None
    """The most that one process takes."""
    device_gib: float | None
    disk_gib: float
    """At the most, while it runs."""
    kept_gib: float


@dataclass(frozen=True)
class StudyPlan:
    """What a study will take here."""

    name: str
    about: str
    device: str
    place: str
    slots: int
    """Runs at once."""
    runs: tuple[PlannedRun, ...]
    absent: tuple[tuple[str, str], ...]
    """Encoder and setting of cells that stay empty."""
    needs: tuple[Need, ...]
    accuracy: tuple[Accuracy, ...]
    """How far off past predictions for this place were."""
    free_gib: float | None
    """On the disk of the store."""
    uncalibrated: int
    """Kinds of runs that a calibration could measure and none has."""

    def total(self, runs: Sequence[PlannedRun] | None = None) -> Total:
        """Of some of the runs, or of all."""
        todo = [run for run in (self.runs if runs is None else runs) if run.status != "done"]
        times = [seconds for run in todo if (seconds := run.remaining_s) is not None]
        factors = [math.exp(2 * run.prediction.spread) for run in todo if run.remaining_s is not None]
        at_once = sorted((run.prediction.disk_gib or 0 for run in todo), reverse=True)[: self.slots]
        kept = sum(run.prediction.kept_gib or 0 for run in todo)
        return Total(
            runs=len(todo),
            unknown=len(todo) - len(times),
            seconds=sum(times),
            low_s=sum(seconds / factor for seconds, factor in zip(times, factors, strict=True)),
            high_s=sum(seconds * factor for seconds, factor in zip(times, factors, strict=True)),
            wall_s=sum(times) if self.device == "cpu" else _wall_s(times, self.slots),
            flops=sum(round(run.share * (run.prediction.flops or 0)) for run in todo),
            host_gib=max((run.prediction.host_gib for run in todo if run.prediction.host_gib), default=None),
            device_gib=max((run.prediction.device_gib for run in todo if run.prediction.device_gib), default=None),
            disk_gib=kept + sum(at_once),
            kept_gib=kept,
        )


def plan_study(
    study: Study,
    *,
    store: str | os.PathLike[str],
    units: Units | None = None,
    pretrainings: PretrainingUnits | None = None,
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    jobs: int | None = None,
    keep_weights: bool = True,
    calibrate_s: float | None = None,
    reporter: Reporter | None = None,
) -> StudyPlan:
    """Look at what is done, what is missing, and predict the rest.

    Args:
        study: what is to be run.
        store: the results folder, whose finished runs tell how long things take.
        units, pretrainings: its runs and pretrainings, where they are known already.
        root: the folder with the archives of named datasets; by default $SEGRANK_DATA.
        device: that the runs will be on: `auto`, `cpu` or `cuda`.
        jobs: runs at once; by default one for each GPU, one on a CPU.
        keep_weights: whether trained weights will stay.
        calibrate_s: measure kinds of runs of which none is finished, for so many seconds each, and as many for their
            evaluation. Not at all by default.
        reporter: where the progress of calibrations goes.

    Raises:
        SpecError: there is no such device.
    """
    device, results = device_for(device), Store(store)
    pretrained = PretrainStore(store)
    first = pretrainings or pretraining_units(study.pretrainings, device=device, root=root)
    units = units or units_of(with_weights(study, first, pretrained), device=device, root=root)
    datasets = Datasets(root)
    found = _look(results, units, device)
    mine = {(one.spec.eval_dataset or one.spec.dataset, one.spec.eval_split) for one in found}

    def windows(spec: RunSpec) -> float | None:
        known = (spec.eval_dataset or spec.dataset, spec.eval_split) in mine
        return datasets.scored(spec).windows(spec.crop) if known else None

    seen = [*observations_in(results, _some_of_each([run for run in found if run.status == "done"]), windows)]
    seen += known_calibrations()
    place = _place(device, seen)
    if calibrate_s is not None:
        todo = _unlike([run.spec for run in found if run.status != "done"], seen, place, {"run"})
        seen += calibrate(
            representatives(todo, datasets), datasets, root=root, device=device, seconds=calibrate_s,
            reporter=reporter or Silent(),
        )  # fmt: skip
    ratios = past_ratios(results, place)
    past = {basis: [math.log(ratio) for ratio in values] for basis, values in ratios.items()}
    predictor = Predictor(seen, place, device, datasets.scored, past=past, keep_weights=keep_weights)
    before = seen_in(pretrained) if study.pretrainings else []
    first_runs = [
        PlannedRun(
            **one._asdict(),
            took_s=pretraining_s(pretrained, one.key) if one.status == "done" else None,
            prediction=predict_pretraining(one.spec, before, predictor),
        )
        for one in _look_first(pretrained, study, first, device)
    ]
    own_runs = [
        PlannedRun(
            **one._asdict(),
            took_s=took_s(results.run_folder(one.key)) if one.status == "done" else None,
            prediction=predictor.predict(one.spec),
        )
        for one in found
    ]
    runs = (*first_runs, *own_runs)
    todo = _unlike([run.spec for run in found if run.status != "done"], seen, place, {"run", "calibration"})
    return StudyPlan(
        name=study.name,
        about=study.about,
        device=device,
        place=place,
        slots=jobs or (max(1, len(visible_gpus())) if device == "cuda" else 1),
        runs=runs,
        absent=study.absent,
        needs=tuple(_needs(runs, datasets, {one.encoder for one in study.pretrainings})),
        accuracy=tuple(accuracies(ratios)),
        free_gib=_free_gib(results.folder),
        uncalibrated=len(representatives(todo, datasets)),
    )


def keep_plan(study: Study, units: Units, *, store: Store, root: str | os.PathLike[str] | None, device: str) -> None:
    """Predict what is to be done and keep it, to be held against what it takes: called when a study starts.

    Raises:
        StoreError: the store cannot be written.
    """
    if all(read_state(store.run_folder(unit.key), unit.evaluations).status == "done" for unit in units.units):
        return
    plan = plan_study(study, units=units, pretrainings=PretrainingUnits(), store=store.folder, root=root, device=device)
    predicted = {
        run.key: (run.prediction, run.status != "waiting") for run in plan.runs if run.key and run.status != "done"
    }
    save_predictions(store, plan.name, plan.place, predicted)


class _Found(NamedTuple, Generic[S]):
    """A run or a pretraining as it stands."""

    key: str
    encoder: str
    settings: tuple[str, ...]
    spec: S
    status: str
    step: int
    reason: str


def _look_first(store: PretrainStore, study: Study, first: PretrainingUnits, device: str) -> list[_Found[PretrainSpec]]:
    found = []
    for unit in first.units:
        state = read_state(store.run_folder(unit.key), ())
        found.append(_Found(unit.key, unit.encoder, unit.settings, unit.spec, state.status, state.step, state.error))
    for spec in study.pretrainings:
        if why := first.refused.get(spec.encoder):
            spec = spec.model_copy(update={"precision": precision_for(spec, device)})
            found.append(_Found("", spec.encoder, ("pretraining",), spec, "missing", 0, why))
    return found


def _look(store: Store, units: Units, device: str) -> list[_Found[RunSpec]]:
    found = []
    for unit in units.units:
        state = read_state(store.run_folder(unit.key), unit.evaluations)
        found.append(_Found(unit.key, unit.encoder, unit.settings, unit.spec, state.status, state.step, state.error))
    for one in units.missing:
        spec = one.spec.model_copy(update={"precision": precision_for(one.spec, device)})
        status = "waiting" if one.reason == AFTER_PRETRAINING else "missing"
        found.append(_Found("", one.encoder, (one.setting,), spec, status, 0, one.reason))
    return found


def _some_of_each(done: Sequence[_Found[RunSpec]]) -> list[str]:
    """Keys of a few runs of each kind."""
    kinds: dict[object, list[str]] = {}
    for run in done:
        spec = run.spec
        kind = (spec.encoder, spec.decoder, spec.freeze, spec.trained_blocks, spec.lora_rank, spec.patch_size)
        kinds.setdefault((*kind, spec.crop, spec.dataset, spec.eval_dataset), []).append(run.key)
    return [key for keys in kinds.values() for key in keys[:_LOOKED_AT]]


def _unlike(specs: Sequence[RunSpec], seen: Sequence[Observation], place: str, sources: set[str]) -> list[RunSpec]:
    """Those of a kind that none of the observations is of."""
    known = {one.traits for one in seen if one.place == place and one.source in sources}
    return [spec for spec in specs if traits_of(spec) not in known]


def _place(device: str, seen: Sequence[Observation]) -> str:
    """This machine's CPU or GPU; with `cuda` on a machine that has none, the GPU of most of what was seen."""
    if device == "cpu":
        return place_of("cpu")
    if model := gpu_model():
        return model
    elsewhere = [one.place for one in seen if one.device_gib is not None]
    return max(set(elsewhere), key=elsewhere.count) if elsewhere else "a GPU"


def _wall_s(times: Sequence[float], slots: int) -> float:
    """Runs are started in order, each on the device that is free first."""
    free_at = [0.0] * slots
    for seconds in times:
        heapq.heapreplace(free_at, free_at[0] + seconds)
    return max(free_at)


def _needs(runs: Sequence[PlannedRun], datasets: Datasets, pretrained: Container[str]) -> list[Need]:
    """Datasets and weights that are not here, then whatever else keeps a run from being started. Weights of encoders
    that are `pretrained` by the study are no need of it."""
    wanting: dict[tuple[str, str], list[PlannedRun]] = {}
    on_hub: dict[str, list[PlannedRun]] = {}
    looked: dict[tuple[str, str], Whereabouts] = {}
    for run in runs:
        if run.status == "done":
            continue
        spec, explained = run.spec, False
        if isinstance(spec, PretrainSpec):
            if run.status == "missing":
                why = datasets.look(spec.dataset, spec.split).missing or run.reason
                wanting.setdefault((f"dataset {spec.dataset}", why), []).append(run)
            continue
        of_data = {spec.dataset: spec.train_split, spec.eval_dataset or spec.dataset: spec.eval_split}
        for dataset, split in of_data.items():
            if why := datasets.look(dataset, split).missing:
                wanting.setdefault((f"dataset {dataset}", why), []).append(run)
                explained = True
        if run.encoder in pretrained:
            continue
        pair = spec.encoder, spec.weights
        at = looked[pair] = looked.get(pair) or whereabouts(*pair)
        if at.status == "missing" and at.on_hub:
            on_hub.setdefault(spec.encoder, []).append(run)
        elif at.status == "missing":
            wanting.setdefault((f"weights of {spec.encoder}", f"{at.found}. {at.advice}"), []).append(run)
            explained = True
        elif at.status == "unknown":
            wanting.setdefault((f"perhaps weights of {spec.encoder}", f"{at.found}: {at.advice}"), []).append(run)
        if run.status == "missing" and not explained:
            wanting.setdefault((f"what {run.encoder} under {run.settings[0]} reads", run.reason), []).append(run)
    needs = [Need(what, "; ".join(why.splitlines()), len(of)) for (what, why), of in wanting.items()]
    if on_hub:
        names = [card.name if (card := card_of(encoder)) else encoder for encoder in on_hub]
        several = f"weights of {len(names)} encoders" if len(names) > 1 else f"weights of {names[0]}"
        fetch = f"`segrank encoders fetch {' '.join(map(shlex.quote, names))}` where there is a network"
        why = f"on the hub, and not on this machine; a run downloads its own. For machines without network: {fetch}"
        needs.append(Need(several, why, sum(map(len, on_hub.values()))))
    return needs


def _free_gib(folder: Path) -> float | None:
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free / 2**30
    except OSError:
        return None
