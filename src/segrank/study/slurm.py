"""Runs as jobs of SLURM's, submitted by submitit. No torch.

    FOLDER/<batch>/ batch.json  <job>_submission.sh  <job>_<index>_submitted.pkl  <job>_<index>_0_log.out .err

A batch is written down before it is submitted, and its jobs bear its name. So whatever becomes of this process, the
next one finds them in the queue, and what submitit knows of its jobs is never asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import submitit
from submitit.helpers import clean_env

from segrank.errors import SegrankError
from segrank.files import write_whole
from segrank.study.slurm_job import SlurmJob

SIGNAL_BEFORE_S = 120
"""So long before its time is up a job is told: enough for a checkpoint."""
TIME_SLICES = 100
"""So often a run that takes longer than a job may goes back into the queue by itself."""
ASK_S = 60.0

_OURS = {"array", "dependency", "error", "job-name", "no-requeue", "nodes", "open-mode", "output", "requeue", "signal"}
"""Options of sbatch that are not free."""


@dataclass(frozen=True)
class SlurmOptions:
    """What each job asks for."""

    time_min: int
    sbatch: Mapping[str, str | bool]
    """Long options of sbatch; True for one that takes no value."""


def slurm_options(assignments: Iterable[str]) -> SlurmOptions:
    """Long options of sbatch as `partition=gpu`, `gres=gpu:1`, `time=4:00:00`, `mem=32G`, `exclusive`.

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
            "a job needs a limit of time", fix="give one: time=4:00:00; a longer run goes on in a next job"
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


@dataclass(frozen=True)
class _Job:
    id: str
    """As scancel takes it: 12 or, of an array, 12_3."""
    array: str
    """The job or the array that it belongs to."""
    key: str
    state: str
    """PENDING, RUNNING, COMPLETING, ..."""
    reason: str
    """Why it is pending, or the node that it runs on."""


class SlurmExecutor:
    """Starts commands as array jobs, and knows which of them SLURM still has.

    Args:
        folder: on a file system that all nodes share; each batch of jobs gets a folder in it.
        options: what each job asks for.
        at_once: so many jobs at most run at the same time; without, as many as SLURM lets.
        say: told what the user should know.

    Raises:
        SegrankError: there is no SLURM here, or the folder's path would mean something to it.
    """

    def __init__(
        self, folder: Path, options: SlurmOptions, *, at_once: int | None = None, say: Callable[[str], None]
    ) -> None:
        self.folder, self.options, self.at_once, self._say = folder.absolute(), options, at_once, say
        if not str(self.folder).isprintable() or set("%\\") & set(str(self.folder)):
            raise SegrankError(
                f"SLURM would read a pattern in {self.folder}", fix="use a --store without % and \\ in its path"
            )
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"), re.MULTILINE)
        self._largest_array = int(found[1]) if found else 1
        self._batches = {file.parent.name: _keys(file) for file in self.folder.glob("*/batch.json")}
        self._answers = True
        self._jobs = self._queue()

    def start(self, commands: Mapping[str, Sequence[str]]) -> None:
        """Submit a command for each key, in one array or a few.

        Raises:
            SegrankError: SLURM does not take them.
        """
        keys = list(commands)
        for first in range(0, len(keys), self._largest_array):
            self._submit({key: commands[key] for key in keys[first : first + self._largest_array]})
            self._jobs = self._queue()

    def alive(self) -> dict[str, str]:
        """Key -> what SLURM says of its job, for all that it still has; while it does not answer, what it said last."""
        try:
            self._jobs, self._answers = self._queue(), True
        except SegrankError as error:
            if self._answers:
                self._say(f"SLURM does not answer, and is asked again: {error.found}")
            self._answers = False
        return {job.key: f"{job.state.lower()} {job.reason}" for job in self._jobs}

    def stop(self, key: str) -> None:
        """Ask for a checkpoint and an end. What has not begun is taken out of the queue."""
        for job in self._jobs_of(key):
            _ask("scancel", *(["--signal=INT"] if job.state == "RUNNING" else []), job.id)

    def kill(self, key: str) -> None:
        """End it; SLURM does so at the latest after the site's KillWait, usually 30 s."""
        for job in self._jobs_of(key):
            _ask("scancel", job.id)

    def _jobs_of(self, key: str) -> list[_Job]:
        return [job for job in self._jobs if job.key == key]

    def _submit(self, commands: Mapping[str, Sequence[str]]) -> None:
        batch = uuid.uuid4().hex[:12]
        folder = self.folder / batch
        folder.mkdir(parents=True)
        write_whole(folder / "batch.json", json.dumps({"keys": list(commands)}))
        throttle, after = self._turn(len(commands))
        executor = submitit.SlurmExecutor(folder, max_num_timeout=TIME_SLICES)
        executor.update_parameters(
            job_name=_PREFIX + batch,
            time=self.options.time_min,
            signal_delay_s=min(SIGNAL_BEFORE_S, self.options.time_min * 60 // 4),
            wckey=None,  # submitit's own one is unknown where they are kept account of
            array_parallelism=throttle,
            # SLURM 22.05 and later do not hand it on to srun
            srun_args=[f"--cpus-per-task={cpus}"] if (cpus := self.options.sbatch.get("cpus-per-task")) else None,
            additional_parameters={"requeue": True, **after, **self.options.sbatch},
        )
        try:
            with _outside_a_job():
                executor.submit_array([SlurmJob(command) for command in commands.values()])
        except RuntimeError as error:  # the base of submitit's own
            shutil.rmtree(folder, ignore_errors=True)
            raise SegrankError(f"sbatch takes no jobs: {str(error).strip()[:400]}", fix="see --slurm") from error
        self._batches[batch] = tuple(commands)

    def _turn(self, jobs: int) -> tuple[int, dict[str, str]]:
        """How many of a new array may run at once, and what it waits for, so that `at_once` holds among all arrays."""
        if self.at_once is None:
            return jobs, {}
        if len(self._jobs) < self.at_once:
            return self.at_once - len(self._jobs), {}
        return self.at_once, {"dependency": ":".join(["afterany", *sorted({job.array for job in self._jobs})])}

    def _queue(self) -> list[_Job]:
        """Our jobs in SLURM's queue."""
        names = ",".join(_PREFIX + batch for batch in self._batches)
        if not names:
            return []
        shown = _ask("squeue", "--noheader", "--array", f"--name={names}", "--format=%i|%F|%K|%j|%T|%R")
        jobs = []
        for line in shown.splitlines():
            name, array, index, job_name, state, reason = line.strip().split("|", 5)
            keys = self._batches[job_name.removeprefix(_PREFIX)]
            jobs.append(_Job(name, array, keys[int(index) if index.isdecimal() else 0], state, reason))
        return jobs


_PREFIX = "segrank-"


def _keys(file: Path) -> tuple[str, ...]:
    return tuple(json.loads(file.read_text())["keys"])


@contextlib.contextmanager
def _outside_a_job() -> Iterator[None]:
    """While it lasts, a job that this process is itself part of leaves no mark on those that it submits."""
    conf = os.environ.get("SLURM_CONF")
    with clean_env() if "SLURM_JOB_ID" in os.environ else contextlib.nullcontext():
        if conf:
            os.environ["SLURM_CONF"] = conf
        yield


def _ask(*command: str) -> str:
    """The output of one of SLURM's commands.

    Raises:
        SegrankError: it is not there, failed, or took too long.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)
    except FileNotFoundError:
        raise SegrankError(
            f"there is no {command[0]} here", fix="give the command on a node of the cluster"
        ) from None
    except subprocess.TimeoutExpired:
        raise SegrankError(f"{command[0]} has not answered for {ASK_S:.0f} s") from None
    if done.returncode:
        raise SegrankError(f"{command[0]}: {(done.stderr or done.stdout).strip()[:400]}")
    return done.stdout
