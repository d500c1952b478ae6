"""A study from its file, or a list of specs, to its records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segrank.errors import SpecError
from segrank.pretrain.needed import check_lightly
from segrank.pretrain.spec import PretrainSpec
from segrank.pretrain.store import PretrainStore
from segrank.record import Record
from segrank.spec import RunSpec
from segrank.stop import stop_signals
from segrank.store import DEFAULT_STORE, Store
from segrank.study.bringing_home import BringingHome, work_command
from segrank.study.coordinator import HANG_S, Board, Care
from segrank.study.devices import device_for
from segrank.study.executor import Executor
from segrank.study.manifest import write_manifest
from segrank.study.plan import keep_plan
from segrank.study.pretrainings import PretrainingUnit, pretraining_units, with_weights
from segrank.study.same_scores import same_scores
from segrank.study.state import TRIES, State, read_state
from segrank.study.study import Study, read_study, study_of
from segrank.study.unit import AnyUnit, Missing, Unit, Units, units_of


class Quiet:
    """A board that shows nothing."""

    def say(self, text: str) -> None:
        pass

    def show(self, units: Sequence[AnyUnit], states: Sequence[State]) -> None:
        pass


@dataclass(frozen=True)
class StudyResult:
    """How a study's runs stand when `run_study` returns."""

    store: Store
    name: str
    units: tuple[Unit, ...]
    states: tuple[State, ...]
    """One for each unit."""
    missing: tuple[Missing, ...]
    """Cells that could not be run here."""
    alarms: tuple[str, ...]
    """Different runs with the same scores."""
    stopped: bool
    """Whether a stop was asked for."""
    pretrainings: tuple[PretrainingUnit, ...] = ()
    """What came first."""
    pretraining_states: tuple[State, ...] = ()
    """One for each of these."""

    @property
    def ok(self) -> bool:
        """Whether every run is done and nothing is missing."""
        return not self.missing and all(state.status == "done" for state in (*self.pretraining_states, *self.states))

    def records(self) -> list[Record]:
        """Of the runs that are done."""
        keys = dict.fromkeys(
            unit.key for unit, state in zip(self.units, self.states, strict=True) if state.status == "done"
        )
        return [record for key in keys if (record := self.store.published(key))]


def run_study(
    study: Study | str | Path | Sequence[RunSpec],
    *,
    store: str | os.PathLike[str] = DEFAULT_STORE,
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    devices: int = 1,
    workers: int | None = None,
    micro_batch: int | None = None,
    checkpoint_every_s: float = 300.0,
    keep_weights: bool = True,
    jobs: int | None = None,
    tries: int = TRIES,
    retry: bool = False,
    hang_after_s: float = HANG_S,
    shard: tuple[int, int] = (1, 1),
    executor: Executor | None = None,
    board: Board | None = None,
) -> StudyResult:
    """Do all runs of a study, or go on with them, or find them done; first of all what it has pretrained.

    Each run is a process of its own, so that one that crashes takes nobody along. The same call goes on after a stop
    or a kill; processes that were left running are found and watched.

    Args:
        study: its name, its YAML file, or a list of specs.
        store, root, device, devices, workers, micro_batch, checkpoint_every_s, keep_weights: of each run, as for
            `segrank.run`.
        jobs: how many runs at once on this machine; by default one for each GPU (or `devices` of them), one on a CPU.
        tries: failures without progress after which a run is given up.
        retry: forget earlier failures, so that runs that were given up are tried again.
        hang_after_s: a run that reports no progress for so long is killed, and started again.
        shard: (i, n) does every n-th run only, from the i-th (of 1 to n): for n machines without a scheduler.
        executor: an engine other than this machine's processes. Jobs of the study that it has already are watched.
        board: where progress goes; nowhere by default.

    Returns:
        How the runs stand: done, or quarantined with an error, or as a stop left them.

    Raises:
        SpecError: the study does not say valid runs, or there is no such device.
        StoreError: the store cannot be written.
    """
    _check(tries, hang_after_s, shard)
    board = board or Quiet()
    if isinstance(study, str | Path):
        study = read_study(study)
    elif not isinstance(study, Study):
        study = study_of(study)
    results, pretrained, device = Store(store), PretrainStore(store), device_for(device)
    engine = BringingHome(
        executor, device, devices, jobs, retry, shard, board, Care(tries=tries, hang_s=hang_after_s),
        work_command(
            root=root, device=device, devices=devices, workers=workers, micro_batch=micro_batch,
            checkpoint_every_s=checkpoint_every_s, keep_weights=keep_weights,
        ),
    )  # fmt: skip
    first, found = pretraining_units(study.pretrainings, device=device, root=root), Units((), ())
    first_states: Sequence[State] = ()
    states: Sequence[State] = ()
    with stop_signals() as stop:
        try:
            if first.units:
                _look_for_lightly(first.units, pretrained, executor)
                ready = with_weights(study, first, pretrained)
                write_manifest(results, ready, units_of(ready, device=device, root=root), tries, first.units)
                first_states = engine.bring_home(first.units, pretrained, stop)
            ready = with_weights(study, first, pretrained)
            found = units_of(ready, device=device, root=root)
            write_manifest(results, ready, found, tries, first.units)
            if found.missing:
                one = found.missing[0]
                board.say(
                    f"{len(found.missing)} runs cannot be done here, as {one.encoder}, {one.setting}: {one.reason}"
                )
            if not stop():
                if devices == 1:  # what several take together is not known
                    keep_plan(ready, found, store=results, root=root, device=device)
                states = engine.bring_home(found.units, results, stop)
        finally:
            if executor is not None:
                executor.close()
        stopped = stop()
    units = engine.share(found.units)
    states = states or [read_state(results.run_folder(unit.key), unit.evaluations, tries=tries) for unit in units]
    alarms = same_scores(units, states)
    for alarm in alarms:
        board.say(f"alarm: {alarm}")
    return StudyResult(
        results, study.name, tuple(units), tuple(states), found.missing, tuple(alarms), stopped,
        tuple(engine.share(first.units)), tuple(first_states),
    )  # fmt: skip


def pretrain_all(
    specs: Sequence[PretrainSpec],
    *,
    name: str = "pretraining",
    store: str | os.PathLike[str] = DEFAULT_STORE,
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    devices: int = 1,
    workers: int | None = None,
    checkpoint_every_s: float = 300.0,
    jobs: int | None = None,
    tries: int = TRIES,
    retry: bool = False,
    hang_after_s: float = HANG_S,
    shard: tuple[int, int] = (1, 1),
    executor: Executor | None = None,
    board: Board | None = None,
) -> StudyResult:
    """Do all of these pretrainings, or go on with them, or find them done: a study without runs.

    Args:
        specs: the pretrainings.
        name: by which `segrank status` knows them.
        store, root, device, devices, workers, checkpoint_every_s, jobs, tries, retry, hang_after_s, shard, executor,
            board: as for `run_study`.

    Raises:
        SpecError: one of them cannot be begun here, or there is no such device.
        StoreError: the store cannot be written.
    """
    refused = pretraining_units(specs, device=device, root=root).refused
    for encoder, why in refused.items():
        raise SpecError(f"{encoder} cannot be pretrained here: {why}")
    study = Study(name, "", (), pretrainings=tuple(specs))
    return run_study(
        study, store=store, root=root, device=device, devices=devices, workers=workers,
        checkpoint_every_s=checkpoint_every_s, jobs=jobs, tries=tries, retry=retry, hang_after_s=hang_after_s,
        shard=shard, executor=executor, board=board,
    )  # fmt: skip


def _check(tries: int, hang_after_s: float, shard: tuple[int, int]) -> None:
    if tries < 1 or not hang_after_s > 0 or not 1 <= shard[0] <= shard[1]:
        raise SpecError(
            f"tries={tries}, hang_after_s={hang_after_s}, shard={shard}",
            wanted="at least 1 try, a time over 0, a shard (i, n) with 1 <= i <= n",
        )


def _look_for_lightly(units: Sequence[PretrainingUnit], store: PretrainStore, executor: Executor | None) -> None:
    """On this machine before anything is begun; machines of an engine's are asked by their jobs."""
    if executor is None and any(not (store.run_folder(unit.key) / "record.json").is_file() for unit in units):
        check_lightly()
