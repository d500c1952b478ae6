"""A study from its file, or a list of specs, to its records."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segrank.errors import SpecError
from segrank.record import Record
from segrank.spec import RunSpec
from segrank.stop import stop_signals
from segrank.store import DEFAULT_STORE, Store
from segrank.study.coordinator import HANG_S, Board, Care, Coordinator
from segrank.study.devices import device_for, visible_gpus
from segrank.study.executor import Executor
from segrank.study.local import LocalExecutor
from segrank.study.manifest import write_manifest
from segrank.study.plan import keep_plan
from segrank.study.same_scores import same_scores
from segrank.study.state import TRIES, State, read_state
from segrank.study.study import Study, read_study, study_of
from segrank.study.tries import forget, orphan
from segrank.study.unit import Missing, Unit, units_of


class Quiet:
    """A board that shows nothing."""

    def say(self, text: str) -> None:
        pass

    def show(self, units: Sequence[Unit], states: Sequence[State]) -> None:
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

    @property
    def ok(self) -> bool:
        """Whether every run is done and nothing is missing."""
        return not self.missing and all(state.status == "done" for state in self.states)

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
    """Do all runs of a study, or go on with them, or find them done.

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
    if tries < 1 or not hang_after_s > 0 or not 1 <= shard[0] <= shard[1]:
        raise SpecError(
            f"tries={tries}, hang_after_s={hang_after_s}, shard={shard}",
            wanted="at least 1 try, a time over 0, a shard (i, n) with 1 <= i <= n",
        )
    board, results = board or Quiet(), Store(store)
    if isinstance(study, str | Path):
        study = read_study(study)
    elif not isinstance(study, Study):
        study = study_of(study)
    device = device_for(device)
    found = units_of(study, device=device, root=root)
    write_manifest(results, study, found, tries)
    if devices == 1:  # what several take together is not known
        keep_plan(study, found, store=results, root=root, device=device)
    units = found.units[shard[0] - 1 :: shard[1]]
    if found.missing:
        first = found.missing[0]
        board.say(f"{len(found.missing)} runs cannot be done here, as {first.encoder}, {first.setting}: {first.reason}")
    if retry:
        _forgive(results, units, tries)
    if executor is None:
        gpus = [gpu.name for gpu in visible_gpus()] if device == "cuda" else []
        executor = local = LocalExecutor(gpus=gpus, gpus_each=devices, jobs=jobs)
        adopted = adopt(local, results, units, board)
    else:
        adopted = sorted({unit.key for unit in units} & executor.alive())
        if adopted:
            board.say(f"{len(adopted)} runs are in the engine's hands already")
    command = work_command(
        root=root, device=device, devices=devices, workers=workers, micro_batch=micro_batch,
        checkpoint_every_s=checkpoint_every_s, keep_weights=keep_weights,
    )  # fmt: skip
    care = Care(tries=tries, hang_s=hang_after_s)
    with stop_signals() as stop:
        states = Coordinator(units, results, executor, command, board, care, adopted).run(stop)
        stopped = stop()
    alarms = same_scores(units, states)
    for alarm in alarms:
        board.say(f"alarm: {alarm}")
    return StudyResult(results, study.name, units, tuple(states), found.missing, tuple(alarms), stopped)


def work_command(
    *,
    root: str | os.PathLike[str] | None,
    device: str,
    devices: int,
    workers: int | None,
    micro_batch: int | None,
    checkpoint_every_s: float,
    keep_weights: bool,
) -> Callable[[Path], tuple[str, ...]]:
    """From a run's folder to the command that goes on with it: see `work`."""
    given = {
        "--root": None if root is None else Path(root).absolute(),
        "--device": device,
        "--devices": devices,
        "--workers": workers,
        "--micro-batch": micro_batch,
        "--checkpoint-every": checkpoint_every_s,
    }
    options = [text for name, value in given.items() if value is not None for text in (name, str(value))]
    options += [] if keep_weights else ["--no-keep-weights"]
    return lambda run: (sys.executable, "-m", "segrank", "work", str(run), *options)


def _forgive(store: Store, units: Sequence[Unit], tries: int) -> None:
    for unit in units:
        run = store.run_folder(unit.key)
        if read_state(run, unit.evaluations, tries=tries).status in ("failed", "quarantined"):
            forget(run)


def adopt(executor: LocalExecutor, store: Store, units: Sequence[Unit], board: Board) -> list[str]:
    """Processes that another coordinator had started here, and that have outlived it."""
    adopted = []
    for key in dict.fromkeys(unit.key for unit in units):
        run = store.run_folder(key)
        if (run / "tries").is_dir() and (left := orphan(run)):
            executor.adopt(key, left, str(left.get("gpus", "")))
            adopted.append(key)
    if adopted:
        board.say(f"{len(adopted)} runs go on that were started here before: {', '.join(adopted)}")
    return adopted
