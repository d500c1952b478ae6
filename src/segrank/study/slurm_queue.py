"""What SLURM says of a study's jobs. Neither torch nor submitit."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from segrank.errors import SegrankError

ASK_S = 60.0
"""SLURM is given so long to answer."""

BATCH = "batch.json"
"""In a batch's folder: the keys of its jobs, by their index in the array."""
PREFIX = "segrank-"
"""Of the name of its jobs; the folder's name follows."""


@dataclass(frozen=True)
class Queued:
    """A job of ours, as squeue tells."""

    id: str
    """As scancel takes it: 12, or 12_3 in an array."""
    array: str
    """12 in both cases."""
    batch: str
    key: str
    state: str
    """PENDING, RUNNING, COMPLETING, ..."""
    reason: str
    """Why it is pending, in brackets, or the node that it runs on."""


class Batches:
    """Those that were ever submitted from a folder, by whichever process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys: dict[str, tuple[str, ...]] = {}

    def queue(self) -> list[Queued]:
        """Their jobs that SLURM still has.

        Raises:
            SegrankError: it does not answer.
        """
        for file in self.folder.glob(f"*/{BATCH}"):
            if file.parent.name not in self._keys:
                self._keys[file.parent.name] = tuple(json.loads(file.read_text())["keys"])
        if not self._keys:
            return []
        names = ",".join(PREFIX + batch for batch in self._keys)
        shown = ask("squeue", "--noheader", "--array", f"--name={names}", "--format=%i|%F|%K|%j|%T|%R")
        queue = []
        for line in shown.splitlines():
            name, array, index, job_name, state, reason = line.strip().split("|", 5)
            batch = job_name.removeprefix(PREFIX)
            key = self._keys[batch][int(index) if index.isdecimal() else 0]
            queue.append(Queued(name, array, batch, key, state, reason))
        return queue


def ask(*command: str) -> str:
    """The output of one of SLURM's commands.

    Raises:
        SegrankError: it is not there, failed, or took too long.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)
    except FileNotFoundError:
        raise SegrankError(f"there is no {command[0]} here", fix="give the command on a node of the cluster") from None
    except subprocess.TimeoutExpired:
        raise SegrankError(f"{command[0]} has not answered for {ASK_S:.0f} s") from None
    if done.returncode:
        raise SegrankError(f"{command[0]}: {(done.stderr or done.stdout).strip()[:400]}")
    return done.stdout
