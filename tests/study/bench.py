"""A store with light runs in it, what is done to them, and what is seen of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import light_run
import psutil
import pytest
from light_run import STEPS, Lines, command, expected, key_for, units

from segrank.store import Store
from segrank.study.coordinator import Care, Coordinator
from segrank.study.local import LocalExecutor
from segrank.study.state import State
from segrank.study.tries import read_tries

PATIENCE_S = 300.0
"""Machines that run tests are busy."""


class Bench:
    """A store with light runs, the processes at them, and what has been seen of them."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.board = Lines()
        self.coordinators: list[subprocess.Popen[str]] = []

    def run(self, number: int = 0) -> Path:
        return Store(self.store).run_folder(key_for(number))

    def fault(self, what: str, *, number: int = 0, **more: Any) -> None:
        path = self.store / "faults" / f"{key_for(number)}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"what": what, **more}))

    def study(self, meddle: Callable[[], None] = lambda: None, *, runs: int = 1, **care: Any) -> list[State]:
        """To its end, in this process. `meddle` is called between the coordinator's looks."""
        until = time.monotonic() + PATIENCE_S

        def stop() -> bool:
            meddle()
            return time.monotonic() > until

        care = {"pause_s": 0.0, **care}
        executor = LocalExecutor(jobs=2)
        return Coordinator(units(runs), Store(self.store), executor, command, self.board, Care(**care)).run(stop)

    def start(self, *, runs: int = 2, jobs: int = 2, steps: int = STEPS) -> subprocess.Popen[str]:
        """A coordinator as a process of its own; `said` is what they all have said."""
        numbers = [str(number) for number in (runs, jobs, steps)]
        with (self.store / "said").open("a") as said:
            process = subprocess.Popen(
                [sys.executable, light_run.__file__, "study", str(self.store), *numbers],
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
            )
        self.coordinators.append(process)
        return process

    @property
    def said(self) -> str:
        return (self.store / "said").read_text()

    def workers(self) -> list[int]:
        """Processes that are at a run of this store."""
        found = []
        for path in self.store.glob("runs/*"):
            for one in read_tries(path).values():
                if "outcome" not in one and psutil.pid_exists(one["pid"]):
                    found.append(int(one["pid"]))
        return found

    def executed(self, number: int = 0) -> list[tuple[int, int]]:
        """Process and step of all that was done, in order."""
        path = self.store / "executed" / key_for(number)
        lines = path.read_text().splitlines() if path.is_file() else []
        return [(int(pid), int(step)) for pid, step in (line.split() for line in lines)]

    def repeated(self, number: int = 0) -> list[int]:
        """Steps that each process had to do again."""
        lost, steps = [], self.executed(number)
        for (before, last), (pid, step) in itertools.pairwise(steps):
            if pid != before:
                lost.append(last + 1 - step)
        return lost

    def home(self, *, runs: int = 1, steps: int = STEPS) -> None:
        """Every run is there, once, as if nothing had happened, and nothing is left of how it came about."""
        records = list(Store(self.store).scan(lambda error: pytest.fail(str(error))))
        assert {record.key: record.miou for record in records} == {key_for(n): expected(n, steps) for n in range(runs)}
        for n in range(runs):
            record = Store(self.store).published(key_for(n))
            assert record is not None
            assert len(record.evaluations) == 1
            assert [line["step"] for line in Store(self.store).log(record.key)] == list(range(1, steps + 1))
            # what a kill left of a write (`.name.*.tmp`) nobody reads, and `segrank gc` clears away
            left = {path.name for path in self.run(n).iterdir() if not path.name.startswith(".")}
            assert left == {"spec.json", "record.json", "log.jsonl", "evaluations"}

    def close(self) -> None:
        """No process stays, also none that has not come to say what it is yet."""
        for process in self.coordinators:
            process.kill()
            process.wait()
        for one in psutil.process_iter(["cmdline"]):
            if any(str(self.store) in argument for argument in one.info["cmdline"] or ()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()


def wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.01)
