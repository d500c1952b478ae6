"""What an attempt at a run and one at a pretraining have in common: their log, and how they end early."""

from __future__ import annotations

import os
import traceback
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TextIO, TypeVar

from lightning_fabric import Fabric

from segrank.attempt import LOG, Attempt
from segrank.files import write_whole
from segrank.ranks import kill_others
from segrank.record import Status, Stored

R = TypeVar("R", bound=Stored)


class OneAttempt(ABC, Generic[R]):
    """What its steps share. All ranks have one; rank 0 keeps the attempt's folder."""

    def __init__(self, fabric: Fabric, attempt: Attempt) -> None:
        self.fabric, self.attempt = fabric, attempt
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.attempts = len(attempt.others) + 1

    @abstractmethod
    def go(self) -> R:
        """From wherever earlier attempts came to, to the end or to a stop."""

    @abstractmethod
    def _record(self, status: Status, error: str = "") -> R:
        """What is known at this moment."""

    def fail(self, error: BaseException) -> None:
        """Leave the error in a record, if the disk still takes one, and let the claim go. Raises nothing."""
        interrupted = isinstance(error, KeyboardInterrupt)
        notes = getattr(error, "__notes__", [])
        frames = traceback.format_tb(error.__traceback__)[-4:]
        text = "" if interrupted else "\n".join([f"{type(error).__name__}: {error}", *notes, "".join(frames)])
        with suppress(Exception):
            if self.fabric.is_global_zero:
                self._end("interrupted" if interrupted else "failed", text + self._errors_of_other_ranks())
            else:
                write_whole(self.attempt.folder / f"error-{self.fabric.global_rank}.txt", text)
        kill_others(self.fabric)

    def _errors_of_other_ranks(self) -> str:
        """Rank 0 often only learns that a connection was closed; the rank that closed it knows why."""
        paths = sorted(self.attempt.folder.glob("error-*.txt"))
        return "".join(f"\n{path.stem}: {path.read_text(errors='replace')}" for path in paths)

    def _end(self, status: Status, error: str = "") -> R:
        try:
            record = self._record(status, error)
            if self.fabric.is_global_zero:
                self.attempt.give_up(record)
            return record
        finally:
            if self.fabric.is_global_zero:  # the claim is the attempt's, and so every rank's
                self.attempt.claim.release()

    def _open_log(self) -> TextIO:
        """The step log, at its end: `restore` has put the earlier lines there."""
        path = self.attempt.folder / LOG if self.fabric.is_global_zero else Path(os.devnull)
        return path.open("a", encoding="utf-8")
