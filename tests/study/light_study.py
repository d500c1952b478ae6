"""Light runs on a real engine, and the least that a coordinator does: start again what has ended and is not done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import light_work
from light_work import events
from polling import wait_until

from segrank.study.executor import Executor, Job


class LightStudy:
    """Runs in STORE/runs/<key>."""

    def __init__(self, store: Path, executor: Executor) -> None:
        self.store, self.executor = store, executor
        self.starts: dict[str, int] = {}
        self.ends: list[str] = []
        """What the engine said of jobs that ended before their run was done."""

    def run(self, key: str) -> Path:
        return self.store / "runs" / key

    def start(self, steps: int, *keys: str) -> None:
        jobs = []
        for key in keys:
            self.run(key).mkdir(parents=True, exist_ok=True)
            command = (sys.executable, light_work.__file__, str(self.run(key)), str(steps))
            jobs.append(Job(key, command, self.run(key)))
            self.starts[key] = self.starts.get(key, 0) + 1
        self.executor.start(jobs)

    def has_begun(self, *keys: str) -> Callable[[], bool]:
        return lambda: all(events(self.run(key), "begin") for key in keys)

    def has_checkpoints(self, *keys: str) -> Callable[[], bool]:
        return lambda: all((self.run(key) / light_work.CHECKPOINT).exists() for key in keys)

    def done(self, *keys: str) -> bool:
        return all(events(self.run(key), "done") for key in keys)

    def bring_home(self, steps: int, *keys: str) -> None:
        def home() -> bool:
            alive = self.executor.alive()
            if lost := [key for key in keys if key not in alive and not self.done(key)]:
                self.ends += [self.executor.how_it_ended(key) for key in lost if key in self.starts]
                self.start(steps, *lost)
            return not alive and self.done(*keys)

        wait_until(home, f"{keys} are done", 240)
