"""How units are brought home, runs or pretrainings: on which engine, by which command, with how much care. No torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from segrank.store import Store
from segrank.study.coordinator import Board, Care, Coordinator
from segrank.study.devices import visible_gpus
from segrank.study.executor import Executor
from segrank.study.local import LocalExecutor
from segrank.study.state import State, read_state
from segrank.study.tries import forget, orphan
from segrank.study.unit import AnyUnit

U = TypeVar("U")


@dataclass(frozen=True)
class BringingHome:
    """How units are brought home: pretrainings first, then runs."""

    executor: Executor | None
    device: str
    devices: int
    jobs: int | None
    retry: bool
    shard: tuple[int, int]
    board: Board
    care: Care
    command: Callable[[Path], tuple[str, ...]]

    def share(self, units: Sequence[U]) -> Sequence[U]:
        """This shard's."""
        return units[self.shard[0] - 1 :: self.shard[1]]

    def bring_home(self, units: Sequence[AnyUnit], store: Store, stop: Callable[[], bool]) -> list[State]:
        """Those of this shard."""
        units = self.share(units)
        if self.retry:
            _forgive(store, units, self.care.tries)
        executor = self.executor
        if executor is None:
            gpus = [gpu.name for gpu in visible_gpus()] if self.device == "cuda" else []
            executor = local = LocalExecutor(gpus=gpus, gpus_each=self.devices, jobs=self.jobs)
            adopted = adopt(local, store, units, self.board)
        else:
            adopted = sorted({unit.key for unit in units} & executor.alive())
            if adopted:
                self.board.say(f"{len(adopted)} runs are in the engine's hands already")
        return Coordinator(units, store, executor, self.command, self.board, self.care, adopted).run(stop)


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


def _forgive(store: Store, units: Sequence[AnyUnit], tries: int) -> None:
    for unit in units:
        run = store.run_folder(unit.key)
        if read_state(run, unit.evaluations, tries=tries).status in ("failed", "quarantined"):
            forget(run)


def adopt(executor: LocalExecutor, store: Store, units: Sequence[AnyUnit], board: Board) -> list[str]:
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
