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
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import submitit
from submitit.helpers import clean_env

from segrank.errors import SegrankError
from segrank.files import write_whole
from segrank.study.executor import STDERR, Job
from segrank.study.slurm_job import SlurmJob
from segrank.study.slurm_options import SlurmOptions
from segrank.study.slurm_queue import BATCH, PREFIX, Batches, Queued, ask

MOST = 1000
"""Jobs of a study that are in SLURM's queue or run, courtesy to the others there."""
SIGNAL_BEFORE_S = 120
"""So long before its time is up a job is told: enough for a checkpoint."""
TIME_SLICES = 100
"""So often a run that takes longer than a job may goes back into the queue by itself."""
LOOK_EVERY_S = 10.0
"""Between questions to SLURM."""

_PATIENT = {"None", "Resources", "Priority", "BeginTime", "Dependency", "JobArrayTaskLimit", "Cleaning"}
"""Reasons to wait that pass by themselves."""


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

    lasting = True

    def __init__(
        self,
        folder: Path,
        options: SlurmOptions,
        *,
        at_once: int | None = None,
        look_every_s: float = LOOK_EVERY_S,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.options, self.at_once, self._say = folder.absolute(), options, at_once, say
        if not str(self.folder).isprintable() or set("%\\") & set(str(self.folder)):
            raise SegrankError(
                f"SLURM would read a pattern in {self.folder}", fix="use a --store without % and \\ in its path"
            )
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", ask("scontrol", "show", "config"), re.MULTILINE)
        self._largest_array = int(found[1]) if found else 1
        self._batches = Batches(self.folder)
        self._seen: dict[str, Queued] = {}
        self._told: set[str] = set()
        self._look_every_s, self._looked_at = look_every_s, time.monotonic()
        self._most = MOST
        self._queue = self._batches.queue()
        self._seen.update({job.key: job for job in self._queue})
        if not self._queue:
            with _outside_a_job():
                ask("sbatch", "--test-only", *self._flags(), "--wrap=true")

    @property
    def slots(self) -> int:
        return self._most

    def start(self, jobs: Sequence[Job]) -> None:
        """What another one has put into the queue in the meantime is not put there twice."""
        self._look()
        jobs = [job for job in jobs if job.key not in self._keys()]
        for first in range(0, len(jobs), self._largest_array):
            self._submit(jobs[first : first + self._largest_array])

    def alive(self) -> set[str]:
        """Looked up every few seconds. While SLURM does not answer, those of before."""
        if time.monotonic() - self._looked_at >= self._look_every_s:
            self._look()
        return self._keys()

    def waiting(self) -> set[str]:
        return self._keys() - self._keys("RUNNING", "COMPLETING")

    def how_it_ended(self, key: str) -> str:
        """What SLURM remembers, which without accounting it does for some minutes, and where more may stand."""
        job = self._seen.get(key)
        if job is None:
            return ""
        ended = f"job {job.id} of SLURM's"
        with contextlib.suppress(SegrankError, KeyError):
            shown = ask("scontrol", "--oneliner", "show", "job", job.id)
            said = dict(re.findall(r"\b(JobState|ExitCode|NodeList)=(\S+)", shown))
            status, _, number = said["ExitCode"].partition(":")
            ended += f": {said['JobState']} on {said['NodeList']}, exit status {status}, signal {number}"
        errors = self.folder / job.batch / f"{job.id}_0_log.err"
        return f"{ended}; see {errors}" if _has_content(errors) else ended

    def stop(self, key: str) -> None:
        self._cancel(key, "--signal=INT")

    def kill(self, key: str) -> None:
        """SLURM ends it at the latest after the site's KillWait, usually 30 s."""
        self._cancel(key)

    def close(self) -> None:
        """Tell what stays, and clear away what is left of batches whose jobs have all gone without a complaint."""
        self._look()
        if self._queue:
            arrays = " ".join(sorted({job.array for job in self._queue}))
            self._say(
                f"{len(self._queue)} jobs stay with SLURM, {len(self._keys('RUNNING'))} of them running; "
                f"the same command watches them again, and `scancel {arrays}` ends them"
            )
        for batch in {job.batch for job in self._seen.values()} - {job.batch for job in self._queue}:
            if not any(_has_content(errors) for errors in (self.folder / batch).glob("*.err")):
                shutil.rmtree(self.folder / batch, ignore_errors=True)

    def _keys(self, *states: str) -> set[str]:
        return {job.key for job in self._queue if not states or job.state in states}

    def _cancel(self, key: str, *running: str) -> None:
        self._look()
        for job in self._queue:
            if job.key == key:
                try:
                    ask("scancel", *(running if job.state == "RUNNING" else ()), job.id)
                except SegrankError as error:
                    self._tell(f"job {job.id} is not cancelled: {error.found}")

    def _tell(self, text: str) -> None:
        """Once."""
        if text not in self._told:
            self._told.add(text)
            self._say(text)

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        try:
            self._queue = self._batches.queue()
        except SegrankError as error:
            self._tell(f"SLURM does not answer, and is asked again: {error.found}")
        for job in self._queue:
            if job.id:
                self._seen[job.key] = job
            if job.state == "PENDING" and job.reason.strip("()") not in _PATIENT:
                self._tell(f"SLURM lets job {job.id} wait: {job.reason}")

    def _flags(self) -> list[str]:
        time_limit = f"--time={self.options.time_min}"
        rest = self.options.sbatch.items()
        return [time_limit, *(f"--{name}" if value is True else f"--{name}={value}" for name, value in rest)]

    def _submit(self, jobs: Sequence[Job]) -> None:
        batch = uuid.uuid4().hex[:12]
        folder = self.folder / batch
        folder.mkdir(parents=True)
        write_whole(folder / BATCH, json.dumps({"keys": [job.key for job in jobs]}))
        at_once, after = self._turn(len(jobs))
        executor = submitit.SlurmExecutor(folder, max_num_timeout=TIME_SLICES)
        executor.update_parameters(
            job_name=PREFIX + batch,
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
            self._most = len(self._queue) or MOST  # a limit of the site's: one more when one has ended
            raise SegrankError(f"sbatch takes no jobs: {str(error).strip()[:400]}", fix="see --slurm") from error
        self._most = MOST
        # if SLURM does not answer now, they are in the queue all the same
        self._queue += [Queued("", "", batch, job.key, "PENDING", "(None)") for job in jobs]
        self._look()

    def _turn(self, jobs: int) -> tuple[int, dict[str, str]]:
        """How many of a new array may run at once, and what it waits for, so that `at_once` holds over all arrays."""
        if self.at_once is None:
            return jobs, {}
        if len(self._queue) < self.at_once:
            return self.at_once - len(self._queue), {}
        return self.at_once, {"dependency": ":".join(["afterany", *sorted({job.array for job in self._queue})])}


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
