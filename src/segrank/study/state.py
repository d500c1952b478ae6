"""How a run stands, read from its folder: done, running, failed. Fast enough for ten thousand, and no torch.

A run is
    done          its record is published and scored as asked
    running       its claim's owner, or a process that has only begun, is alive as far as can be known from here
    quarantined   so many tries failed at the step where it still is that nothing else is to be expected
    failed        fewer did
    interrupted   somebody was at it, and nobody is
    waiting       nobody was
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from segrank.attempt import newest_step
from segrank.claims import is_alive_here
from segrank.study.tries import failures, read_tries

Status = Literal["done", "running", "quarantined", "failed", "interrupted", "waiting"]

TRIES = 3
"""Failures at one step after which a run is quarantined."""


@dataclass(frozen=True)
class State:
    """Of one run, as it was a moment ago."""

    status: Status
    step: int = 0
    """Of a run that is not done: the newest checkpoint's, or the one that its process has reported."""
    failures: int = 0
    """Tries that ended at the newest checkpoint's step without getting further."""
    error: str = ""
    """What the last of them said."""
    by: str = ""
    """`process 123 on host`, while it is running."""
    here: bool | None = None
    """Whether its process lives on this machine; none if it is on another, where only a pulse can tell."""
    work: str = ""
    """What its process is doing: `train`, `evaluate on val`."""
    done: int = 0
    total: int = 0
    """Of that work."""
    remaining_s: float | None = None
    """Of that work, at the speed so far."""
    pulse: str = ""
    """Changes as long as its process lives."""
    progress: str = ""
    """Changes as long as its process gets anywhere."""
    scores: dict[str, Any] | None = None
    """The evaluation that was asked for, as it lies on disk, of a run that is done."""


def read_state(run: Path, evaluations: Sequence[str], *, tries: int = TRIES) -> State:
    """Look into a run's folder.

    Args:
        run: the folder.
        evaluations: keys, any of which is what was asked for; empty for a pretraining, which has none.
        tries: failures at one step after which a run is quarantined.
    """
    scores = _scores(run, evaluations)
    if scores is not None:
        return State("done", step=int(scores.get("step") or 0), scores=scores)
    if not run.is_dir():
        return State("waiting")
    step, known = newest_step(run), read_tries(run)
    failed = failures(known, step)
    error = str(failed[-1].get("error", "")) if failed else ""
    if running := _running(run, known):
        return _running_state(running, step, len(failed), error)
    if failed:
        return State("quarantined" if len(failed) >= tries else "failed", step, len(failed), error)
    return State("interrupted" if (run / "attempts").is_dir() else "waiting", step)


def _scores(run: Path, evaluations: Sequence[str]) -> dict[str, Any] | None:
    """The evaluation that was asked for, if the run is published and has it, here or where a cut publication left it;
    where none was asked for, how far the published one is.

    A damaged record is no record: a process that goes on with the run says what is wrong with it.
    """
    record = _json(run / "record.json")
    if record is None or record.get("status") != "ok" or record.get("key") != run.name:
        return None
    if not evaluations:
        return {"step": record.get("step")}
    places = (run, run / "attempts" / str(record.get("attempt")))
    paths = (place / "evaluations" / key / "scores.json" for key in evaluations for place in places)
    return next((found for path in paths if (found := _json(path)) is not None), None)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


class _Running(NamedTuple):
    """Somebody at a run: the process, and what it says in its heartbeat and its try."""

    process: dict[str, Any]
    here: bool | None
    beat: dict[str, Any]
    said: dict[str, Any]


def _running(run: Path, tries: dict[Path, dict[str, Any]]) -> _Running | None:
    owner = _json(run / "claim")
    if owner is not None and (here := is_alive_here(owner)) is not False:
        said = next((one for one in tries.values() if _same_process(one, owner)), {})
        beat = _json(run / "attempts" / str(owner.get("token")) / "heartbeat") or {}
        return _Running(owner, here, beat, said)
    open_ones = [one for one in tries.values() if "outcome" not in one]
    for one in open_ones:  # has only begun, or scores a run that is published
        if is_alive_here(one):
            return _Running(one, True, {}, one)
    newest = next(reversed(tries.values()), None)
    if newest is not None and "outcome" not in newest and is_alive_here(newest) is None:
        return _Running(newest, None, {}, newest)
    return None


def _same_process(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("machine", "pid", "process_started"))


def _running_state(running: _Running, step: int, failed: int, error: str) -> State:
    process, here, beat, said = running
    host = str(process.get("machine")).split(" ")[0]
    work, done, total = str(said.get("work", "")), _number(said, "done"), _number(said, "total")
    progress = [process.get("token"), {**beat, "beat": 0}, work, done, total]
    return State(
        "running",
        step=int(_number(beat, "step")) or step,
        failures=failed,
        error=error,
        by=f"process {process.get('pid')} on {host}"[:200],
        here=here,
        work=work,
        done=int(done),
        total=int(total),
        remaining_s=_remaining_s(said, done, total),
        pulse=json.dumps([beat, said]),
        progress=json.dumps(progress),
    )


def _remaining_s(said: dict[str, Any], done: float, total: float) -> float | None:
    gained, took = done - _number(said, "from"), _number(said, "elapsed_s") - _number(said, "from_s")
    return max(0.0, total - done) * took / gained if gained > 0 and took > 0 else None


def _number(content: dict[str, Any], name: str) -> float:
    value = content.get(name)
    return value if isinstance(value, int | float) and math.isfinite(value) else 0
