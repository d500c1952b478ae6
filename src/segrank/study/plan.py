"""What a study will take, before it takes it: runs, what is missing, time, memory and disk. No torch."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from segrank.pretrain.spec import PretrainSpec
from segrank.pretrain.store import PretrainStore
from segrank.progress import Reporter, Silent
from segrank.spec import RunSpec
from segrank.store import Store
from segrank.study.calibrations import calibrate, known_calibrations, representatives
from segrank.study.devices import device_for, gpu_model, precision_for, visible_gpus
from segrank.study.images import Datasets
from segrank.study.needs import needs_of
from segrank.study.observations import Observation, observations_in, place_of, took_s, traits_of
from segrank.study.planned import PlannedRun, StudyPlan
from segrank.study.predict import Predictor
from segrank.study.predictions import accuracies, past_ratios, save_predictions
from segrank.study.pretraining_cost import predict_pretraining, pretraining_s, seen_in
from segrank.study.pretrainings import PretrainingUnits, pretraining_units, with_weights
from segrank.study.state import read_state
from segrank.study.study import AFTER_PRETRAINING, Study
from segrank.study.unit import Units, units_of

S = TypeVar("S")

_LOOKED_AT = 3
"""Finished runs of a kind whose records are read."""


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
        needs=tuple(needs_of(runs, datasets, {one.encoder for one in study.pretrainings})),
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


def _free_gib(folder: Path) -> float | None:
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free / 2**30
    except OSError:
        return None
