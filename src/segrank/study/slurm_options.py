"""What jobs of SLURM's ask for, as the user says it. Neither torch nor submitit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from segrank.errors import SegrankError

_OURS = {"array", "dependency", "error", "job-name", "no-requeue", "nodes", "open-mode", "output", "requeue", "signal"}


@dataclass(frozen=True)
class SlurmOptions:
    """What each job asks for."""

    time_min: int
    sbatch: Mapping[str, str | bool]
    """Other long options of sbatch; True for one that takes no value."""


def slurm_options(assignments: Iterable[str]) -> SlurmOptions:
    """Long options of sbatch: `partition=gpu`, `gres=gpu:1`, `time=4:00:00`, `mem=32G`, `exclusive`.

    `cpus` is short for `cpus-per-task`.

    Raises:
        SegrankError: one is none, or is not free, or there is no time.
    """
    given: dict[str, str | bool] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        # a line break would leave the line of the batch script that the option stands on
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or (equals and not (value and value.isprintable())):
            raise SegrankError(f'"{assignment[:80]}" is no option of sbatch', wanted="NAME=VALUE, as in partition=gpu")
        if name in _OURS:
            raise SegrankError(f"sbatch's {name} is set by segrank", fix="leave it out")
        given["cpus-per-task" if name == "cpus" else name] = value if equals else True
    time = given.pop("time", None)
    if not isinstance(time, str):
        raise SegrankError(
            "a job needs a limit of time", fix="add --slurm time=4:00:00; a longer run takes several jobs"
        )
    return SlurmOptions(minutes(time), given)


def minutes(time: str) -> int:
    """Of M, M:S, H:M:S, D-H, D-H:M or D-H:M:S, as sbatch reads them; rounded up.

    Raises:
        SegrankError: it is none of these, or nothing.
    """
    if not re.fullmatch(r"\d{1,6}(:\d{1,2}){0,2}|\d{1,4}-\d{1,2}(:\d{1,2}){0,2}", time) or not re.search("[1-9]", time):
        raise SegrankError(f'"{time[:40]}" is no time', wanted="minutes, H:M:S or D-H:M:S")
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if not dash and len(parts) < 3:
        parts.insert(0, 0)  # hours
    hours, mins, seconds = (*parts, 0, 0)[:3]
    return int(days or 0) * 1440 + hours * 60 + mins + (seconds > 0)
