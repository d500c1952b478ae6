"""What a study asks of an engine that starts processes: here, on SLURM, on Ray. No torch.

An engine starts a command on a run folder, again and again if need be, and that is all. Whether a run is done, and
whether its process is dead, is read from the folder (`state`), never from an engine's word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

STDERR = "stderr.txt"
"""In the run's folder: what its processes say on standard error, appended."""


@dataclass(frozen=True)
class Job:
    """A command to be started on a run's folder. It can be killed at any moment and started again."""

    key: str
    command: tuple[str, ...]
    run: Path
    """The folder, absolute; standard error is appended to `STDERR` in it."""


class Executor(Protocol):
    """An engine. One job for each key at a time."""

    lasting: bool
    """Whether its jobs are left to it when a study is stopped, to be found again by the next one."""

    @property
    def slots(self) -> int:
        """How many jobs it takes at once, those that wait in a queue of its own among them."""
        ...

    def start(self, jobs: Sequence[Job]) -> None:
        """Start them, or hand them to the engine's queue, together.

        Raises:
            SegrankError, OSError: the engine cannot; none of them counts as started then.
        """
        ...

    def alive(self) -> set[str]:
        """Keys of the jobs that the engine still has, waiting or running. A key that is gone has ended somehow."""
        ...

    def waiting(self) -> set[str]:
        """Of those alive, the ones that wait for room in the engine: no progress is to be expected of them."""
        ...

    def how_it_ended(self, key: str) -> str:
        """What the engine knows of a job's end, for a message (`exit status 1`, `killed by SIGKILL`); may be empty."""
        ...

    def stop(self, key: str) -> None:
        """Ask a job to save a checkpoint and end (SIGTERM to its process); one that waits is taken off the queue."""
        ...

    def kill(self, key: str) -> None:
        """End a job with all of its processes at once."""
        ...

    def close(self) -> None:
        """Let go of the engine. What still runs goes on."""
        ...
