"""How long work tells what it is doing: a live bar on a terminal, plain lines when piped, silence on request."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 10.0
"""Between plain lines about one piece of work."""


def plain(text: str) -> str:
    """For rich's markup: names come from files, so nothing in them is markup, and no control character is printed."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))


class Reporter(Protocol):
    def say(self, text: str) -> None:
        """Something worth a line of its own."""
        ...

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        """`done` of `total` of a named piece of work; it is over when they are equal."""
        ...


class Silent:
    """Says nothing."""

    def say(self, text: str) -> None:
        pass

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        pass


class ConsoleReporter:
    """On standard error: bars where that is a terminal, else a line now and then. A context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars: dict[str, TaskID] = {}
        self._lines: dict[str, tuple[float, float]] = {}
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        with suppress(OSError):  # a terminal that is gone must not end the work
            self.console.print(plain(text))

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        with suppress(OSError):
            self._advance(work, done, total, note)

    def _advance(self, work: str, done: int, total: int, note: str) -> None:
        if not self.console.is_terminal:
            self._line(work, done, total, note)
        elif done >= total:
            if work in self._bars:
                self._progress.remove_task(self._bars.pop(work))
        elif work in self._bars:
            self._progress.update(self._bars[work], completed=done, total=total, note=plain(note))
        else:
            self._progress.start()  # not before there is something to show
            self._bars[work] = self._progress.add_task(plain(work), completed=done, total=total, note=plain(note))

    def _line(self, work: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        began, last = self._lines.setdefault(work, (now, now))
        if done >= total:
            del self._lines[work]
            if now - began >= LINE_EVERY_S:  # what is over at once needs no line
                self.say(f"{work}: {total} of {total} in {now - began:.0f} s  {note}".rstrip())
        elif now - last >= LINE_EVERY_S:
            self._lines[work] = (began, now)
            self.say(f"{work}: {done} of {total}  {note}".rstrip())
