"""Runs as processes of this machine: one for each GPU, or as many on the CPU as are asked for. No torch."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

from segrank.claims import is_alive_here
from segrank.errors import SpecError
from segrank.study.executor import STDERR, Job


class _Process(NamedTuple):
    slot: int
    popen: subprocess.Popen[bytes]


class _Adopted(NamedTuple):
    slot: int
    facts: dict[str, Any]
    """By which `is_alive_here` knows it."""


class LocalExecutor:
    """Processes in sessions of their own, so that Ctrl-C reaches the one who started them and nobody else.

    They go on when that one dies; the same study started again adopts them.
    """

    lasting = False

    def __init__(self, *, gpus: Sequence[str] = (), gpus_each: int = 1, jobs: int | None = None) -> None:
        """Args:
            gpus: as CUDA_VISIBLE_DEVICES names them; none for runs on the CPU.
            gpus_each: for one run (DDP).
            jobs: how many runs at once; by default one for each GPU or group of them, one on a CPU. More share them.

        Raises:
            SpecError: there are not so many GPUs.
        """
        if gpus and gpus_each > len(gpus):
            raise SpecError(f"{gpus_each} GPUs were asked for", wanted=f"1 to {len(gpus)} for each run")
        groups = [",".join(gpus[at : at + gpus_each]) for at in range(0, len(gpus) - gpus_each + 1, gpus_each)]
        count = jobs or len(groups) or 1
        self._gpus = [groups[slot % len(groups)] for slot in range(count)] if groups else [None] * count
        self._threads = max(1, _cpus() // count)
        self._jobs: dict[str, _Process | _Adopted] = {}
        self._ends: dict[str, str] = {}

    @property
    def slots(self) -> int:
        return len(self._gpus)

    def start(self, jobs: Sequence[Job]) -> None:
        started: list[str] = []
        try:
            for job in jobs:
                slot = self._free_slot()
                with (job.run / STDERR).open("ab") as said:
                    popen = subprocess.Popen(
                        job.command,
                        stdin=subprocess.DEVNULL,
                        stdout=said,
                        stderr=said,
                        env=self._environment(slot),
                        start_new_session=True,
                    )
                self._jobs[job.key] = _Process(slot, popen)
                self._ends.pop(job.key, None)
                started.append(job.key)
        except BaseException:
            for key in started:
                self.kill(key)
            raise

    def adopt(self, key: str, facts: dict[str, Any], gpus: str) -> None:
        """Take over a process that another one has started, which is gone: it holds a slot as long as it runs."""
        same = [slot for slot in self._free_slots() if self._gpus[slot] == gpus]
        self._jobs[key] = _Adopted(next(iter(same), self._free_slot()), facts)

    def alive(self) -> set[str]:
        for key, job in list(self._jobs.items()):
            if isinstance(job, _Adopted):
                if not is_alive_here(job.facts):
                    del self._jobs[key]
            elif (code := job.popen.poll()) is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(job.popen.pid, signal.SIGKILL)  # processes of its own that it has left behind
                self._ends[key] = _in_words(code)
                del self._jobs[key]
        return set(self._jobs)

    def waiting(self) -> set[str]:
        return set()

    def how_it_ended(self, key: str) -> str:
        return self._ends.get(key, "")

    def stop(self, key: str) -> None:
        self._signal(key, signal.SIGTERM, with_children=False)

    def kill(self, key: str) -> None:
        self._signal(key, signal.SIGKILL, with_children=True)

    def close(self) -> None:
        self._jobs.clear()

    def _environment(self, slot: int) -> dict[str, str]:
        environment = dict(os.environ)
        if self.slots > 1:  # processes with a thread for every core each would wait for one another
            given = environment.get("OMP_NUM_THREADS", "")
            own = int(given) if given.isdecimal() else self._threads
            environment["OMP_NUM_THREADS"] = str(min(self._threads, own))
        if (gpus := self._gpus[slot]) is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpus
        return environment

    def _free_slots(self) -> list[int]:
        taken = {job.slot for job in self._jobs.values()}
        return [slot for slot in range(self.slots) if slot not in taken]

    def _free_slot(self) -> int:
        """One with the fewest jobs: adopted ones may be more than there are slots."""
        counts = [sum(job.slot == slot for job in self._jobs.values()) for slot in range(self.slots)]
        return counts.index(min(counts))

    def _signal(self, key: str, number: signal.Signals, *, with_children: bool) -> None:
        if key not in self.alive():  # its number may be another process's by now
            return
        job = self._jobs[key]
        pid = job.popen.pid if isinstance(job, _Process) else int(job.facts["pid"])
        with contextlib.suppress(ProcessLookupError):
            if with_children and os.getpgid(pid) == pid:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)


def _in_words(code: int) -> str:
    if code >= 0:
        return f"exit status {code}" + (", as of a process that was killed for its memory" if code == 137 else "")
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
