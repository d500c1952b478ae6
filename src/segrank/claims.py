"""Who runs a run: a claim file, a heartbeat, and how a dead owner is told from a living one. No torch."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from segrank.errors import ClaimError
from segrank.files import write_whole

HEARTBEAT_S = 5.0
SILENCE_S = 60.0
"""A heartbeat that does not change for so long, on the observer's own clock, is a dead owner's."""


def _this_machine() -> str:
    """Host, boot and process namespace: equal texts mean that process numbers can be compared."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _started(pid: int) -> str:
    """When a process began, in a form that a step of the wall clock does not change.

    Raises:
        psutil.Error: there is no such process.
    """
    try:
        # field 22 of proc(5)'s stat: clock ticks since boot; the name before it, in brackets, may hold spaces
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return str(psutil.Process(pid).create_time())


def this_process() -> dict[str, Any]:
    """By which `is_alive_here` will know it."""
    return _process(os.getpid())


def parent_process() -> dict[str, Any]:
    """Likewise of the process that started this one; empty if it is gone already."""
    try:
        return _process(os.getppid())
    except psutil.Error:
        return {}


def _process(pid: int) -> dict[str, Any]:
    return {"machine": _this_machine(), "pid": pid, "process_started": _started(pid)}


def _read(path: Path) -> dict[str, Any]:
    """A claim; of a damaged one nothing is known."""
    try:
        content = json.loads(path.read_text(errors="replace"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


class Claim:
    """The file RUN/claim, holding our token, and RUN/attempts/<token>/heartbeat, which keeps changing."""

    def __init__(self, run: Path, token: str) -> None:
        self.run, self.token = run, token
        self.path = run / "claim"
        self.state: dict[str, Any] = {}
        """What the heartbeat tells others: step, steps and whatever else the owner sets."""
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="segrank heartbeat", daemon=True)

    @classmethod
    def take(cls, run: Path, token: str, *, notify: Callable[[str], None], silence_s: float | None = None) -> Claim:
        """Claim the run folder `run`; a dead owner's claim is taken over.

        Args:
            silence_s: how long to watch the heartbeat of an owner on another machine; by default `SILENCE_S`.

        Raises:
            ClaimError: the owner is alive.
        """
        claim = cls(run, token)
        owner = {"token": token, **this_process()}
        while True:
            with contextlib.suppress(FileExistsError):
                write_whole(claim.path, json.dumps(owner), exclusive=True)
                return claim
            try:
                old = _read(claim.path)
            except FileNotFoundError:
                continue
            if _alive(run, old, notify, SILENCE_S if silence_s is None else silence_s):
                raise ClaimError(
                    f"run {run.name} is being run by process {old.get('pid')} on {str(old.get('machine')).split()[0]}",
                    fix="wait for it, or stop it there; then give the same command again",
                )
            _take_away(claim.path, old.get("token"))

    def holds(self) -> bool:
        """Whether the run is still ours."""
        try:
            return bool(_read(self.path).get("token") == self.token)
        except OSError:
            return False

    def start_heartbeat(self) -> None:
        """Until `release`. The attempt's folder must be there."""
        self._thread.start()

    def check(self) -> None:
        """Raises ClaimError if somebody took the run over, holding us for dead."""
        if not self.holds():
            raise ClaimError(
                f"run {self.run.name} was taken over by another process while this one was not heard of",
                fix="nothing: the other one goes on",
            )

    def release(self) -> None:
        self._released.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.holds():
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        path = self.run / "attempts" / self.token / "heartbeat"
        beat = 0
        while True:
            beat += 1
            with contextlib.suppress(OSError):  # a full disk must not end the run; silence is what tells
                temporary = path.with_name(".heartbeat.tmp")
                temporary.write_text(json.dumps({"beat": beat, **self.state}))
                temporary.replace(path)
            if self._released.wait(HEARTBEAT_S):
                return


def is_alive_here(owner: dict[str, Any]) -> bool | None:
    """Whether a claim's owner lives; none if it is on another machine, where process numbers say nothing."""
    if owner.get("machine") != _this_machine():
        return None
    with contextlib.suppress(psutil.Error, KeyError, TypeError, ValueError):
        pid = int(owner["pid"])
        dead = psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        return not dead and _started(pid) == owner["process_started"]
    return False


def _alive(run: Path, owner: dict[str, Any], notify: Callable[[str], None], silence_s: float) -> bool:
    here = is_alive_here(owner)
    if here is not None:
        return here
    heartbeat = run / "attempts" / str(owner.get("token")) / "heartbeat"

    def pulse() -> bytes:
        try:
            return heartbeat.read_bytes()
        except OSError:
            return b""

    first, until = pulse(), time.monotonic() + silence_s
    notify(f"run {run.name} is claimed from another machine; watching its heartbeat for {silence_s:.0f} s")
    while time.monotonic() < until:
        time.sleep(min(HEARTBEAT_S, silence_s) / 10)
        if pulse() != first:
            return True
    return False


def _take_away(path: Path, token: str | None) -> None:
    """Remove a dead owner's claim. Of several who try, each renames to a name of its own."""
    mine = path.with_name(f".claim.{uuid.uuid4().hex[:8]}.old")
    with contextlib.suppress(FileNotFoundError):
        path.rename(mine)
        if _read(mine).get("token") != token:
            # somebody was faster, and this is the new owner's claim: give it back
            with contextlib.suppress(FileExistsError):
                os.link(mine, path)
        mine.unlink()
