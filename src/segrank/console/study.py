"""How a study looks: a live board on a terminal, lines when piped, and its status for whoever asks. No torch."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from segrank.console.output import out
from segrank.progress import plain
from segrank.store import Store
from segrank.study.manifest import Manifest
from segrank.study.run_study import StudyResult
from segrank.study.state import State, Status
from segrank.study.unit import AnyUnit, Missing

LINE_EVERY_S = 60.0
"""Between lines that say how far a study is, when piped."""
ROWS = 12
"""Of a list on the live board."""
_ORDER: tuple[Status, ...] = ("done", "running", "interrupted", "failed", "quarantined", "waiting")


class StudyBoard:
    """On standard error: a live board where that is a terminal, else a line now and then. A context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = Live(console=self.console, refresh_per_second=2, transient=True)
        self._began = time.monotonic()
        self._begun_with: float | None = None
        self._line = ("", -LINE_EVERY_S)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._live.stop()

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that is gone must not end the study
            self.console.print(plain(text))

    def show(self, units: Sequence[AnyUnit], states: Sequence[State]) -> None:
        line = summary(units, states) + self._eta(units, states)
        with contextlib.suppress(OSError):
            if self.console.is_terminal:
                self._live.update(_board(line, units, states))
            elif line != self._line[0] and time.monotonic() - self._line[1] >= LINE_EVERY_S:
                self._line = (line, time.monotonic())
                self.console.print(plain(line))

    def _eta(self, units: Sequence[AnyUnit], states: Sequence[State]) -> str:
        """From what was done since this board began: runs and parts of runs."""
        there = sum(_fraction(unit, state) for unit, state in zip(units, states, strict=True))
        if self._begun_with is None:
            self._begun_with = there
        gained, took = there - self._begun_with, time.monotonic() - self._began
        to_do = sum(state.status != "quarantined" for state in states) - there
        return f"; about {duration(to_do * took / gained)} to go" if gained > 0.01 and to_do > 0 else ""


def summary(units: Sequence[AnyUnit], states: Sequence[State]) -> str:
    """`80 runs: 34 done, 2 running, 44 waiting; best 48.21 (dinov2-base, base)`."""
    counts = Counter(state.status for state in states)
    parts = ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status])
    best = max(
        ((miou, index) for index, state in enumerate(states) if (miou := miou_of(state)) is not None), default=None
    )
    kind = units[0].kind if units else "run"
    text = f"{len(units)} {kind}{'s' * (len(units) != 1)}: {parts or 'none'}"
    if best is not None:
        unit = units[best[1]]
        text += f"; best mIoU {100 * best[0]:.2f} ({unit.encoder}, {_setting(unit)})"
    return text


def miou_of(state: State) -> float | None:
    """Of a run that is done."""
    scores = (state.scores or {}).get("scores")
    miou = scores.get("miou") if isinstance(scores, dict) else None
    return float(miou) if isinstance(miou, int | float) else None


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `4 d 3 h`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{minutes // 60} h {minutes % 60} min" if hours < 36 else f"{hours // 24} d {hours % 24} h"


def print_result(result: StudyResult) -> None:
    """All that there is to know of a study when it has ended."""
    if result.pretrainings:
        _print(result.name, result.pretrainings, result.pretraining_states, ())
    if result.units or result.missing or not result.pretrainings:
        _print(result.name, result.units, result.states, result.missing)


def print_manifest(found: Manifest, store: Store) -> None:
    """All that there is to know of a study now."""
    if found.pretrainings:
        _print(found.name, found.pretrainings, found.pretraining_states(store), ())
    if found.units or found.missing or not found.pretrainings:
        _print(found.name, found.units, found.states(store), found.missing)


def _print(name: str, units: Sequence[AnyUnit], states: Sequence[State], missing: Sequence[Missing]) -> None:
    console = out()
    console.print(plain(f"{name}: {summary(units, states)}"))
    for table in (_settings(units, states), _running(units, states), _failures(units, states, None)):
        if table.row_count:
            console.print(table)
    print_missing(console, missing)


def print_missing(console: Console, missing: Sequence[Missing]) -> None:
    """Cells that cannot be run, each reason once."""
    for reason in dict.fromkeys(one.reason for one in missing):
        cells = [f"{one.encoder}, {one.setting}" for one in missing if one.reason == reason]
        more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
        console.print(plain(f"missing: {'; '.join(dict.fromkeys(cells[:3]))}{more}: {reason}"))


def print_studies(found: Sequence[Manifest], store: Store) -> None:
    """A line for each study of a store, one more for its pretrainings."""
    for manifest in found:
        if manifest.pretrainings:
            said = summary(manifest.pretrainings, manifest.pretraining_states(store))
            out().print(plain(f"{manifest.name}: {said}"))
        if manifest.units or manifest.missing or not manifest.pretrainings:
            missing = f"; {len(manifest.missing)} missing" if manifest.missing else ""
            out().print(plain(f"{manifest.name}: {summary(manifest.units, manifest.states(store))}{missing}"))


def _board(line: str, units: Sequence[AnyUnit], states: Sequence[State]) -> RenderableType:
    tables = [_running(units, states, bars=True), _failures(units, states, ROWS), _settings(units, states)]
    return Group(Text(line, style="bold"), *(table for table in tables if table.row_count))


def _table(*columns: str) -> Table:
    table = Table(box=None if not sys.stdout.isatty() else box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _running(units: Sequence[AnyUnit], states: Sequence[State], *, bars: bool = False) -> Table:
    table = _table("running", "encoder", "setting", "seed", "step", "at", "left", "by")
    running = [(unit, state) for unit, state in zip(units, states, strict=True) if state.status == "running"]
    for unit, state in running[: ROWS if bars else None]:
        step: RenderableType = f"{state.step} of {unit.spec.steps}"
        if bars:
            step = ProgressBar(total=unit.spec.steps, completed=state.step, width=20)
        work = f"{state.work} {state.done} of {state.total}" if state.work else "starting"
        left = duration(state.remaining_s) if state.remaining_s is not None else ""
        texts = [plain(text) for text in (unit.encoder, _setting(unit), str(unit.spec.seed))]
        table.add_row(unit.key, *texts, step, plain(work), left, plain(state.by))
    return table


def _failures(units: Sequence[AnyUnit], states: Sequence[State], most: int | None) -> Table:
    table = _table("run", "encoder", "setting", "seed", "failures", "error")
    failed = [(unit, state) for unit, state in zip(units, states, strict=True) if state.failures]
    for unit, state in failed[:most]:
        lines = [line for line in state.error.splitlines() if line.strip()]
        error = state.error.strip() if most is None else (lines[-1] if lines else "")
        said = f"{state.failures} ({state.status})" if state.status != "failed" else str(state.failures)
        table.add_row(
            unit.key, plain(unit.encoder), plain(_setting(unit)), str(unit.spec.seed), said, plain(error[:1500])
        )
    return table


def _settings(units: Sequence[AnyUnit], states: Sequence[State]) -> Table:
    """For each setting how much of it is there, and its best run so far."""
    table = _table("setting", "done", "best so far", "mIoU %")
    groups: dict[str, list[tuple[AnyUnit, State]]] = {}
    for unit, state in zip(units, states, strict=True):
        groups.setdefault(_setting(unit), []).append((unit, state))
    for setting, members in list(groups.items())[: 2 * ROWS]:
        scored = [(miou, unit.encoder) for unit, state in members if (miou := miou_of(state)) is not None]
        miou, encoder = max(scored, default=(None, ""))
        done = sum(state.status == "done" for _, state in members)
        score = "" if miou is None else f"{100 * miou:.2f}"
        table.add_row(plain(setting), f"{done} of {len(members)}", plain(encoder), score)
    return table


def _setting(unit: AnyUnit) -> str:
    return ", ".join(unit.settings)


def _fraction(unit: AnyUnit, state: State) -> float:
    return 1.0 if state.status == "done" else min(1.0, state.step / unit.spec.steps)
