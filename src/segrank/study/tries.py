"""What becomes of each start of a run: RUN/tries/<token>.json, one for every process that was started on it. No torch.

A try is written when its process begins, and says what the process is working on until it ends. It ends with an
outcome of its own, or of whoever saw it end. One that has no outcome and no process was killed unseen, together with
whoever had started it: nothing speaks against the run then.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Container
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from segrank.attempt import newest_step
from segrank.claims import is_alive_here, parent_process, this_process
from segrank.files import write_whole
from segrank.study.executor import STDERR

Outcome = Literal["failed", "killed", "interrupted", "busy"]
"""Of a try: its own error; an end without a word, or for being stuck; a stop that was asked for; somebody else was at
the run. Only the first two count against it."""

NOTE_EVERY_S = 5.0
"""Between rewrites of what a try is working on."""

MAX_ERROR = 4000
"""Characters of an error that are kept."""


class Try:
    """One start of a run, told by the process itself."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = path, facts
        self._began = self._noted = time.monotonic()

    @classmethod
    def begin(cls, run: Path) -> Try:
        """Say that this process is at the run in this folder.

        Raises:
            OSError: the folder cannot be written.
        """
        facts = {
            "began": datetime.now(UTC).isoformat(timespec="microseconds"),
            **this_process(),
            "started_by": parent_process(),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            "step": newest_step(run),
        }
        one = cls(run / "tries" / f"{uuid.uuid4().hex[:12]}.json", facts)
        one.path.parent.mkdir(exist_ok=True)
        write_whole(one.path, json.dumps(facts))
        return one

    def note(self, work: str, done: int, total: int) -> None:
        """Say what is being worked on, `done` of `total`. Calling it often costs nothing."""
        now = time.monotonic()
        new = work != self.facts.get("work")
        self.facts.update(work=work, done=done, total=total, elapsed_s=round(now - self._began, 1))
        if new:
            self.facts["from"], self.facts["from_s"] = done, self.facts["elapsed_s"]
        if new or now - self._noted >= NOTE_EVERY_S:
            self._noted = now
            with contextlib.suppress(OSError):  # a full disk must not end the run
                temporary = self.path.with_name(f".{self.path.stem}.tmp")
                temporary.write_text(json.dumps(self.facts))
                temporary.replace(self.path)

    def end(self, outcome: Outcome, error: str = "") -> None:
        """Say how it ended.

        Raises:
            OSError: the folder cannot be written.
        """
        end(self.path, self.facts, outcome, error)


def read_tries(run: Path) -> dict[Path, dict[str, Any]]:
    """All tries at the run in this folder, oldest first; damaged ones are left out."""
    found = {}
    for path in run.glob("tries/*.json"):
        with contextlib.suppress(OSError, ValueError):
            content = json.loads(path.read_bytes())
            if isinstance(content, dict):
                found[path] = content
    return dict(sorted(found.items(), key=lambda item: (str(item[1].get("began")), item[0].name)))


def end(path: Path, facts: dict[str, Any], outcome: Outcome, error: str = "") -> dict[str, Any]:
    """Give a try its outcome: by itself, or by whoever saw that its process ended. Returns what is known of it then.

    Raises:
        OSError: the folder cannot be written.
    """
    facts = {**facts, "outcome": outcome, "error": error[:MAX_ERROR]}
    write_whole(path, json.dumps(facts))
    return facts


def orphan(run: Path) -> dict[str, Any] | None:
    """A living process of this machine that is at the run while the one that had started it is gone."""
    for one in read_tries(run).values():
        starter = one.get("started_by")
        if "outcome" not in one and is_alive_here(one) and isinstance(starter, dict) and not is_alive_here(starter):
            return one
    return None


def close_open_ones(run: Path, error: str, *, but: Container[Path] = ()) -> list[dict[str, Any]]:
    """Give those that no living process is known to be at the outcome `killed`.

    Args:
        but: those of before, which are none of the caller's.

    Returns:
        All that have ended, those that had an outcome already among them, oldest first.

    Raises:
        OSError: the folder cannot be written.
    """
    ended = []
    for path, facts in read_tries(run).items():
        if path not in but and ("outcome" in facts or not is_alive_here(facts)):
            if "outcome" not in facts:
                facts = end(path, facts, "killed", error)
            ended.append(facts)
    return ended


def add_failure(run: Path, error: str) -> dict[str, Any]:
    """For a start that came to nothing before there was a try.

    Raises:
        OSError: the folder cannot be written.
    """
    one = Try.begin(run)
    return end(one.path, one.facts, "failed", error)


def failures(tries: dict[Path, dict[str, Any]], step: int) -> list[dict[str, Any]]:
    """Those that count against a run whose newest checkpoint is at this step: they began there and got no further."""
    return [one for one in tries.values() if one.get("outcome") in ("failed", "killed") and one.get("step") == step]


def forget(run: Path) -> None:
    """Remove what there is of tries and of what they said: the run is done, or is to be tried anew."""
    shutil.rmtree(run / "tries", ignore_errors=True)
    with contextlib.suppress(OSError):
        (run / STDERR).unlink()
