"""Brings a study home: starts its runs on an engine, watches them, starts them again, quarantines what never ends.

A coordinator keeps nothing that is not in the run folders, so that it may be killed at any moment, and several can be
at one store. What it knows of the runs of others it reads from their claims.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from segrank.claims import SILENCE_S
from segrank.errors import SegrankError
from segrank.files import write_whole
from segrank.store import Store
from segrank.study.executor import STDERR, Executor, Job
from segrank.study.last_words import cut, first_line, last_words
from segrank.study.pulses import Pulses
from segrank.study.state import TRIES, State, Status, read_state
from segrank.study.tries import add_failure, close_open_ones, forget, read_tries
from segrank.study.unit import AnyUnit

TICK_S = 0.2
"""Between looks at the engine: what a slot stands empty for, on average half of it."""
HANG_S = 1800.0
PAUSE_S = 5.0
"""Before a run that failed is started again; twice as long after each further failure."""
ENGINE_TROUBLES = 5
"""Times that an engine may refuse to start anything, one after the other, before the study ends with its error."""


class Board(Protocol):
    """Where a study's progress goes."""

    def say(self, text: str) -> None:
        """Something worth a line of its own."""
        ...

    def show(self, units: Sequence[AnyUnit], states: Sequence[State]) -> None:
        """How the runs stand; called often."""
        ...


@dataclass(frozen=True)
class Care:
    """How much trouble a coordinator takes."""

    tries: int = TRIES
    """Failures at one step after which a run is quarantined."""
    hang_s: float = HANG_S
    """A run that reports no progress for so long is killed, and that counts as a failure."""
    silence_s: float = SILENCE_S
    """A process on another machine that is not heard of for so long is dead."""
    pause_s: float = PAUSE_S


@dataclass
class _Mine:
    """A run that this coordinator has started, or adopted."""

    index: int
    before: Container[Path] = ()
    """Tries that were there before."""
    since: float = 0.0
    progress: str | None = None
    """What it last reported; none before its first word."""
    why_killed: str = ""


@dataclass
class Coordinator:
    """One study on one engine. `run` does it."""

    units: Sequence[AnyUnit]
    store: Store
    executor: Executor
    command: Callable[[Path], tuple[str, ...]]
    """What is started on a run's folder."""
    board: Board
    care: Care = field(default_factory=Care)
    adopted: Sequence[str] = ()
    """Keys of runs that the engine has already."""

    def __post_init__(self) -> None:
        self.states: list[State] = []
        self._queue: deque[int] = deque()
        self._later: dict[int, float] = {}
        """Runs that are not to be started before a moment of the monotonic clock."""
        self._elsewhere: set[int] = set()
        """Runs that somebody else is at."""
        self._pulses = Pulses(self.care.silence_s)
        self._mine: dict[str, _Mine] = {}
        self._unwritten: dict[int, list[str]] = {}
        """Failures that no folder could take down."""
        self._troubles = 0
        self._stopping = False
        self._look_at = 0.0

    def run(self, stop: Callable[[], bool]) -> list[State]:
        """Until every run is done or quarantined, or a stop was asked for and all processes have ended.

        Raises:
            KeyboardInterrupt: somebody was in a hurry; all processes were killed.
            SegrankError, OSError: the engine starts nothing any more.
        """
        self._begin()
        try:
            while True:
                self._settle_ended()
                now = time.monotonic()
                if now >= self._look_at:
                    self._watch(now)
                    self.board.show(self.units, self.states)
                    self._look_at = now + max(1.0, 0.02 * len(self._mine))
                if stop() and not self._stopping:
                    self._stop()
                if not self._stopping:
                    self._fill(now)
                if not self._mine and (self._stopping or not (self._queue or self._later or self._elsewhere)):
                    return self.states
                time.sleep(TICK_S)
        except KeyboardInterrupt:
            for key in () if self.executor.lasting else self._mine:
                self.executor.kill(key)
            raise
        finally:
            self.board.show(self.units, self.states)

    # ---------------------------------------------------------------- what there is to do

    def _begin(self) -> None:
        self.states = [self._read(index) for index in range(len(self.units))]
        by_key = {unit.key: index for index, unit in reversed(list(enumerate(self.units)))}
        for key in self.adopted:
            self._mine[key] = _Mine(by_key[key], before=(), since=time.monotonic())
        taken = {mine.index for mine in self._mine.values()}
        for index, state in enumerate(self.states):
            if state.status == "quarantined":
                self._say(index, f"is quarantined: {first_line(state.error)}")
            elif state.status == "done":
                self._tidy(index)
            elif index not in taken:
                self._queue.append(index)

    def _fill(self, now: float) -> None:
        """Start what there is room for. What another one has done or begun in the meantime is left to it."""
        for index in [index for index, moment in self._later.items() if moment <= now]:
            del self._later[index]
            self._queue.append(index)
        jobs: dict[int, Job] = {}
        while self._queue and len(self._mine) + len(jobs) < self.executor.slots:
            index = self._queue.popleft()
            unit = self.units[index]
            if unit.key in self._mine or unit.key in {job.key for job in jobs.values()}:
                self._elsewhere.add(index)  # the same run, to be scored in another way as well
                continue
            if self._startable(index, now) and (job := self._prepare(index)):
                jobs[index] = job
        if not jobs:
            return
        before = {index: frozenset(read_tries(job.run)) for index, job in jobs.items()}
        try:
            self.executor.start(list(jobs.values()))
        except (SegrankError, OSError) as error:
            self._troubles += 1
            if self._troubles >= ENGINE_TROUBLES:
                raise
            self.board.say(f"nothing could be started: {error}")
            self._later.update(dict.fromkeys(jobs, now + self.care.pause_s * 2**self._troubles))
            return
        self._troubles = 0
        for index, job in jobs.items():
            self._mine[job.key] = _Mine(index, before[index], now)

    def _startable(self, index: int, now: float) -> bool:
        state = self.states[index] = self._read(index)
        if state.status == "running" and not self._pulses.is_silent(index, state, now):
            self._elsewhere.add(index)
            return False
        return state.status not in ("done", "quarantined")

    def _prepare(self, index: int) -> Job | None:
        unit = self.units[index]
        run = self.store.run_folder(unit.key).absolute()
        text = unit.spec.model_dump_json(indent=1) + "\n"
        try:
            run.mkdir(parents=True, exist_ok=True)
            path = run / "spec.json"
            if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != text:
                write_whole(path, text)
            (run / STDERR).open("ab").close()  # where an engine could not write, it would start nothing at all
        except OSError as error:
            self._failed(index, f"{run} cannot be written: {error}")
            return None
        return Job(unit.key, self.command(run), run)

    # ---------------------------------------------------------------- what has ended

    def _settle_ended(self) -> None:
        alive = self.executor.alive()
        for key in [key for key in self._mine if key not in alive]:
            mine = self._mine.pop(key)
            state = self.states[mine.index] = self._read(mine.index)
            if state.status == "done":
                self._done(mine.index)
            elif state.status == "running":  # by somebody else; or by this one, whom the engine holds for gone
                self._elsewhere.add(mine.index)
                self._pulses.forget(mine.index)
            elif not self._stopping or mine.why_killed:
                self._ended(mine)

    def _done(self, index: int) -> None:
        self._say(index, _score(self.states[index]))
        self._tidy(index)

    def _tidy(self, index: int) -> None:
        """Clear up what a process left that was killed between publishing its run and its end."""
        key = self.units[index].key
        run = self.store.run_folder(key)
        if any((run / name).exists() for name in ("attempts", "claim", "tries")) and self.store.running(key) is None:
            self.store.tidy(key)
            forget(run)

    def _ended(self, mine: _Mine) -> None:
        """It came to no result: find out why, and see whether it is to be started again."""
        unit = self.units[mine.index]
        run, how = self.store.run_folder(unit.key), self.executor.how_it_ended(unit.key)
        why = mine.why_killed or f"it ended without a word{f' ({how})' if how else ''}{last_words(run)}"
        try:
            ended = close_open_ones(run, why, but=mine.before)
            if not ended:
                ended = [add_failure(run, f"it ended before it began{f' ({how})' if how else ''}{last_words(run)}")]
        except OSError as error:
            self._failed(mine.index, f"{why}; and its folder cannot be written: {error}")
            return
        last = ended[-1]
        self._again(mine.index, str(last.get("error")) if last.get("outcome") in ("failed", "killed") else "")

    def _failed(self, index: int, why: str) -> None:
        """A failure that its folder cannot take down."""
        self._unwritten.setdefault(index, []).append(why)
        self._again(index, why)

    def _again(self, index: int, error: str) -> None:
        """It is to be started once more, unless it failed often enough. Without an error it was only stopped."""
        state = self.states[index] = self._read(index)
        if state.status == "quarantined":
            self._say(index, f"is quarantined after {state.failures} failures: {first_line(error)}")
            return
        if error:
            count = f"{state.failures} of {self.care.tries} failures there" if state.failures else "it got further"
            self._say(index, f"failed at step {state.step} ({count}): {first_line(error)}")
        self._later[index] = time.monotonic() + self.care.pause_s * 2 ** max(0, state.failures - 1)

    # ---------------------------------------------------------------- what goes on

    def _watch(self, now: float) -> None:
        waiting = self.executor.waiting()
        for key, mine in list(self._mine.items()):
            state = self.states[mine.index] = self._read(mine.index)
            cut(self.store.run_folder(self.units[mine.index].key))
            if key in waiting:  # not begun, or put back
                mine.progress = None
            elif state.status == "running" and state.progress != mine.progress:
                mine.since, mine.progress = now, state.progress
            elif mine.progress is not None and now - mine.since > self.care.hang_s and not mine.why_killed:
                at = f"step {state.step}" if state.work else "its start"
                mine.why_killed = f"no progress for {self.care.hang_s:.0f} s after {at}: it hangs, and was killed"
                self._say(mine.index, mine.why_killed)
                self.executor.kill(key)
        for index in list(self._elsewhere):
            if self.units[index].key in self._mine:
                continue
            state = self.states[index] = self._read(index)
            if state.status == "running" and not self._pulses.is_silent(index, state, now):
                continue
            self._elsewhere.discard(index)
            if state.status == "running":  # not heard of any more
                run = self.store.run_folder(self.units[index].key)
                with contextlib.suppress(OSError):
                    close_open_ones(run, f"{state.by} was not heard of any more")
            if state.status == "done":
                self._done(index)
            elif state.status == "quarantined":
                self._say(index, f"is quarantined: {first_line(state.error)}")
            else:
                self._queue.append(index)

    def _stop(self) -> None:
        self._stopping = True
        if self.executor.lasting:
            self._mine.clear()
        elif self._mine:
            self.board.say(f"stopping {len(self._mine)} runs at their next checkpoint; Ctrl-C again kills them")
        for key in self._mine:
            self.executor.stop(key)

    def _read(self, index: int) -> State:
        unit, unwritten = self.units[index], self._unwritten.get(index, [])
        state = read_state(self.store.run_folder(unit.key), unit.evaluations, tries=self.care.tries)
        if not unwritten or state.status in ("done", "running"):
            return state
        failures = state.failures + len(unwritten)
        status: Status = "quarantined" if failures >= self.care.tries else "failed"
        return replace(state, status=status, failures=failures, error=unwritten[-1])

    def _say(self, index: int, text: str) -> None:
        unit = self.units[index]
        self.board.say(f"{unit.key} {unit.encoder}, {', '.join(unit.settings)}, seed {unit.spec.seed}: {text}")


def _score(state: State) -> str:
    scores = (state.scores or {}).get("scores")
    miou = scores.get("miou") if isinstance(scores, dict) else None
    return f"done, mIoU {100 * miou:.2f}" if isinstance(miou, float) else "done"
