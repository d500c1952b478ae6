"""A real Ray of two nodes in a network namespace of its own, where nobody else can reach it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from needed import need
from polling import wait_until

PROGRAMS = ("unshare", "nsenter", "setpriv", "timeout", "ip")
ADDRESS = "127.0.0.1:6379"
LIFE_S = 900
"""Nothing of Ray's lives longer, whatever happens."""


class RayCluster:
    """Nodes and what tests do to them. Everything in the namespace is ours, and ends with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_register_timeout_seconds": "300",  # on a busy machine a worker may take long to begin
        }
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "-n", "sleep", str(LIFE_S)])

    def start(self) -> None:
        wait_until(lambda: _net(self._holder.pid) != _net(os.getpid()), "the namespace")
        subprocess.run(self.inside("ip", "link", "set", "lo", "up"), check=True)
        head = ("--head", "--port=6379", "--node-ip-address=127.0.0.1", "--include-dashboard=false")
        for _ in range(3):  # Ray gives up on a node that is not there after 30 s, and other tests may be running
            if self._start_node("head", *head, f"--temp-dir={self.folder}") and self._start_node(
                "other", f"--address={ADDRESS}"
            ):
                return
            self._kill_all()
        raise AssertionError("\n".join(log.read_text() for log in self.folder.glob("*.log")))

    def inside(self, *command: str) -> list[str]:
        """A command in the namespace. It ends with this process."""
        return ["setpriv", "--pdeathsig", "TERM", "nsenter", f"--net=/proc/{self._holder.pid}/ns/net", *command]

    def _start_node(self, name: str, *options: str) -> bool:
        ray = str(Path(sys.executable).with_name("ray"))
        limits = ("--num-cpus=2", "--object-store-memory=80000000", "--block")
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            node = self._nodes[name] = subprocess.Popen(
                self.inside("timeout", str(LIFE_S), ray, "start", *options, *limits),
                env=self.environment, stdout=out, stderr=out,
            )  # fmt: skip
        wait_until(lambda: node.poll() is not None or "Ray runtime started" in log.read_text(), f"Ray's node {name}")
        return node.poll() is None

    def raylet(self, name: str) -> psutil.Process:
        """The process that is a node."""
        children = psutil.Process(self._nodes[name].pid).children(recursive=True)
        return next(process for process in children if process.name() == "raylet")

    def stop(self) -> None:
        self._kill_all()
        self._holder.kill()
        self._holder.wait(20)

    def _kill_all(self) -> None:
        """Never `ray stop`: it ends processes by their name, others' too."""
        namespace = _net(self._holder.pid)
        for process in psutil.process_iter():
            if process.pid != self._holder.pid and _net(process.pid) == namespace:
                with contextlib.suppress(psutil.Error):
                    process.kill()
        for node in self._nodes.values():
            node.wait(20)


def _net(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


@contextlib.contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    need("Ray", PROGRAMS)
    folder = Path(tempfile.mkdtemp(prefix="segrank-ray-", dir="/tmp"))  # short: it holds sockets
    cluster = RayCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
