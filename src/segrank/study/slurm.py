"""Runs as jobs of SLURM's, submitted by submitit. No torch.

    FOLDER/<batch>/ batch.json  <job>_submission.sh  <job>_<index>_submitted.pkl  <job>_<index>_0_log.out .err

A batch is written down before it is submitted, and its jobs bear its name. So whatever becomes of this process, the
next one finds them in the queue. Submitit is asked for nothing after that: without accounting, it does not know.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import submitit
from submitit.helpers import clean_env

from segrank.errors import SegrankError
from segrank.files import write_whole
from segrank.study.executor import STDERR, Job
from segrank.study.slurm_job import SlurmJob
from segrank.study.slurm_options import SlurmOptions

MOST = 1000
"""Jobs of a study that are in SLURM's queue or run, courtesy to the others there."""
SIGNAL_BEFORE_S = 120
"""So long before its time is up a job is told: enough for a checkpoint."""
TIME_SLICES = 100
"""So often a run that takes longer than a job may goes back into the queue by itself."""
ASK_S = 60.0
"""SLURM is given so long to answer."""

_PATIENT = {"None", "Resources", "Priority", "BeginTime", "Dependency", "JobArrayTaskLimit", "Cleaning"}
"""Reasons to wait that pass by themselves."""
_PREFIX = "segrank-"
"""Of names of jobs; a batch's follows."""


@dataclass(frozen=True)
class _Queued:
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

    slots = MOST

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
        self._seen: dict[str, _Queued] = {}
        self._told: set[str] = set()
        self._queue = self._ask_for_queue()

    def start(self, jobs: Sequence[Job]) -> None:
        for first in range(0, len(jobs), self._largest_array):
            self._submit(jobs[first : first + self._largest_array])
            self._queue = self._ask_for_queue()

    def alive(self) -> set[str]:
        """While SLURM does not answer, those of before."""
        try:
            self._queue = self._ask_for_queue()
        except SegrankError as error:
            self._tell(f"SLURM does not answer, and is asked again: {error.found}")
        for job in self._queue:
            if job.state == "PENDING" and job.reason.strip("()") not in _PATIENT:
                self._tell(f"SLURM lets job {job.id} wait: {job.reason}")
        return {job.key for job in self._queue}

    def how_it_ended(self, key: str) -> str:
        """What SLURM remembers, which without accounting it does for some minutes, and where more may stand."""
        job = self._seen.get(key)
        if job is None:
            return ""
        ended = f"job {job.id} of SLURM's"
        with contextlib.suppress(SegrankError, KeyError):
            shown = _ask("scontrol", "--oneliner", "show", "job", job.id)
            said = dict(re.findall(r"\b(JobState|ExitCode|NodeList)=(\S+)", shown))
            ended += (
                f": {said['JobState']} on {said['NodeList']}, exit status {said['ExitCode'].replace(':', ', signal ')}"
            )
        errors = self.folder / job.batch / f"{job.id}_0_log.err"
        return f"{ended}; see {errors}" if _has_content(errors) else ended

    def stop(self, key: str) -> None:
        for job in self._of(key):
            _ask("scancel", *(["--signal=INT"] if job.state == "RUNNING" else []), job.id)

    def kill(self, key: str) -> None:
        """SLURM ends it at the latest after the site's KillWait, usually 30 s."""
        for job in self._of(key):
            _ask("scancel", job.id)

    def close(self) -> None:
        """Clear away what is left of batches whose jobs have all gone without a complaint."""
        self.alive()
        for batch in {job.batch for job in self._seen.values()} - {job.batch for job in self._queue}:
            if not any(_has_content(errors) for errors in (self.folder / batch).glob("*.err")):
                shutil.rmtree(self.folder / batch, ignore_errors=True)

    def _of(self, key: str) -> list[_Queued]:
        return [job for job in self._queue if job.key == key]

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)

    def _submit(self, jobs: Sequence[Job]) -> None:
        batch = uuid.uuid4().hex[:12]
        folder = self.folder / batch
        folder.mkdir(parents=True)
        write_whole(folder / "batch.json", json.dumps({"keys": [job.key for job in jobs]}))
        self._batches[batch] = tuple(job.key for job in jobs)
        at_once, after = self._turn(len(jobs))
        executor = submitit.SlurmExecutor(folder, max_num_timeout=TIME_SLICES)
        executor.update_parameters(
            job_name=_PREFIX + batch,
            time=self.options.time_min,
            signal_delay_s=min(SIGNAL_BEFORE_S, self.options.time_min * 60 // 4),
            wckey=None,  # submitit's own is unknown to a site that accounts by them
            array_parallelism=at_once,
            # since SLURM 22.05 srun does not take it over from sbatch
            srun_args=[f"--cpus-per-task={cpus}"] if (cpus := self.options.sbatch.get("cpus-per-task")) else None,
            additional_parameters={"requeue": True, **after, **self.options.sbatch},
        )
        try:
            with _outside_a_job():
                executor.submit_array([SlurmJob(job.command, job.run / STDERR) for job in jobs])
        except RuntimeError as error:  # the base of submitit's own
            shutil.rmtree(folder, ignore_errors=True)
            del self._batches[batch]
            raise SegrankError(f"sbatch takes no jobs: {str(error).strip()[:400]}", fix="see --slurm") from error

    def _turn(self, jobs: int) -> tuple[int, dict[str, str]]:
        """How many of a new array may run at once, and what it waits for, so that `at_once` holds over all arrays."""
        if self.at_once is None:
            return jobs, {}
        if len(self._queue) < self.at_once:
            return self.at_once - len(self._queue), {}
        return self.at_once, {"dependency": ":".join(["afterany", *sorted({job.array for job in self._queue})])}

    def _ask_for_queue(self) -> list[_Queued]:
        """Our jobs in SLURM's queue, of this process and of those before it."""
        names = ",".join(_PREFIX + batch for batch in self._batches)
        if not names:
            return []
        shown = _ask("squeue", "--noheader", "--array", f"--name={names}", "--format=%i|%F|%K|%j|%T|%R")
        queue = []
        for line in shown.splitlines():
            name, array, index, job_name, state, reason = line.strip().split("|", 5)
            batch = job_name.removeprefix(_PREFIX)
            key = self._batches[batch][int(index) if index.isdecimal() else 0]
            queue.append(_Queued(name, array, batch, key, state, reason))
        self._seen.update({job.key: job for job in queue})
        return queue


def _keys(file: Path) -> tuple[str, ...]:
    return tuple(json.loads(file.read_text())["keys"])


def _has_content(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


@contextlib.contextmanager
def _outside_a_job() -> Iterator[None]:
    """While it lasts, a job that this process is part of leaves no mark on those that it submits."""
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
        raise SegrankError(f"there is no {command[0]} here", fix="give the command on a node of the cluster") from None
    except subprocess.TimeoutExpired:
        raise SegrankError(f"{command[0]} has not answered for {ASK_S:.0f} s") from None
    if done.returncode:
        raise SegrankError(f"{command[0]}: {(done.stderr or done.stdout).strip()[:400]}")
    return done.stdout
