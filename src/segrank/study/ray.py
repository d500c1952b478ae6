"""Runs as tasks of a Ray cluster that is there already. No torch.

A task is a process on whichever node Ray chooses. It ends with the task, and the task with whoever gave it: what is
left is started again by the next command. Nothing is retried by Ray.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import ray

from segrank.errors import SegrankError
from segrank.study.executor import STDERR, Job

CONNECT_S = 10.0
GRACE_S = 60.0
"""Between asking a process to stop and killing it: enough for a checkpoint."""
MOST = 1000
"""Tasks that wait for Ray or run at once."""
_POLL_S = 0.5


class RayExecutor:
    """Starts commands as Ray's tasks.

    Args:
        address: HOST:PORT of the head. This machine must be one of the cluster's.
        cpus: that a task takes.
        gpus: likewise.
        at_once: so many tasks at most; without, as many as Ray finds room for.

    Raises:
        SegrankError: nobody answers there, or anybody in the network could give it commands.
    """

    lasting = False

    def __init__(self, address: str, *, cpus: float = 1, gpus: float = 0, at_once: int | None = None) -> None:
        _check(address)
        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SegrankError(f"Ray at {address}: {str(error)[:400]}") from error
        finally:
            signal.signal(signal.SIGTERM, before)  # Ray has taken it for itself
        self.slots = at_once or MOST
        self._task = ray.remote(_work).options(num_cpus=cpus, num_gpus=gpus, max_retries=0)
        self._tasks: dict[str, ray.ObjectRef[int]] = {}
        self._ended: dict[str, str] = {}

    def start(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._tasks[job.key] = self._task.remote(list(job.command), str(job.run / STDERR))

    def alive(self) -> set[str]:
        tasks = list(self._tasks.values())
        over = set(ray.wait(tasks, num_returns=len(tasks), timeout=0)[0]) if tasks else set()
        for key in [key for key, task in self._tasks.items() if task in over]:
            self._ended[key] = _how(self._tasks.pop(key))
        return set(self._tasks)

    def waiting(self) -> set[str]:
        """Ray does not say; but a task that waits has never run."""
        return set()

    def how_it_ended(self, key: str) -> str:
        return self._ended.get(key, "")

    def stop(self, key: str) -> None:
        ray.cancel(self._tasks[key])

    def kill(self, key: str) -> None:
        """Ends it `GRACE_S` later at the latest."""
        self.stop(key)

    def close(self) -> None:
        ray.shutdown()


def _check(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise SegrankError(f'"{address[:80]}" is no address', wanted="HOST:PORT of the head of a Ray cluster")
    host = host.strip("[]")
    if not _is_loopback(host) and os.environ.get("RAY_AUTH_MODE") != "token":
        raise SegrankError(
            f"the Ray cluster at {address} is to be reached without a token: whoever reaches it runs commands in it",
            fix="start it and this command with RAY_AUTH_MODE=token; see docs/cluster.md",
        )
    try:  # Ray itself would wait for minutes
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise SegrankError(
            f"nobody answers at {address}: {error}", fix="start Ray there: see docs/cluster.md"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _how(task: ray.ObjectRef[int]) -> str:
    try:
        code = ray.get(task)
    except ray.exceptions.RayError as error:
        return str(error).strip().splitlines()[0][:200]
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _work(command: list[str], stderr: str) -> int:
    """In a process of Ray's: the command's exit status, negative for a signal."""
    # a process of Ray's that is killed takes along what it has started
    leash = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with Path(stderr).open("ab") as errors:
        process = subprocess.Popen([*leash, *command], stderr=errors, start_new_session=True)
    try:
        # Ray's way to interrupt a task ends no system call, so none may be long
        while (code := process.poll()) is None:
            time.sleep(_POLL_S)
        return code
    except KeyboardInterrupt:  # of `ray.cancel`
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(GRACE_S)
        return -signal.SIGKILL
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it has started
