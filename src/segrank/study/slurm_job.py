"""What SLURM runs: a command, and what SLURM's signals mean to it. No torch; submitit starts it in the job."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from submitit.helpers import Checkpointable

HOLD_S = 120.0
"""How long a job whose run was stopped by SLURM waits for what SLURM does next."""
_POLL_S = 0.2


class SlurmJob(Checkpointable):
    """A command in a job of SLURM's.

    USR2 comes before the time is up, and where a site sends it before a preemption too: the command is asked to stop,
    which leaves a checkpoint, and submitit puts the job back into the queue. TERM comes of a preemption or of
    `scancel`; SLURM itself then requeues or ends the job, so it is held until SLURM does. INT means: stop, and be done.

    Args:
        command: what to run.
        errors: the file that its standard error is appended to.

    A job that is killed outright is told nothing. Then what the run wrote last counts.
    """

    def __init__(self, command: Sequence[str], errors: Path) -> None:
        self.command, self.errors = list(command), errors
        self._process: subprocess.Popen[bytes] | None = None
        self._done_with = False

    def __call__(self) -> None:
        with self.errors.open("ab") as errors:
            process = self._process = subprocess.Popen(self.command, stderr=errors)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        while (code := process.poll()) is None:  # `wait` would hold a lock that a signal's handler cannot get
            time.sleep(_POLL_S)
        held_until = time.monotonic() + HOLD_S
        while code == 130 and not self._done_with and time.monotonic() < held_until:
            time.sleep(_POLL_S)
        sys.exit(code if code >= 0 else 128 - code)

    def checkpoint(self, *arguments: Any, **options: Any) -> Any:
        """Called by submitit at USR2, in a signal's handler. Returns once the command has ended."""
        process, self._process = self._process, None  # the rest of this object is what the job goes on with
        if process is not None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has ended already
                os.kill(process.pid, signal.SIGTERM)
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return super().checkpoint(*arguments, **options)

    def _pass_on(self, number: int, _: object) -> None:
        """SLURM signals every process of a job on most sites, on some only the first."""
        self._done_with = self._done_with or number == signal.SIGINT
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGTERM)  # a second INT would be a harder stop
