"""What becomes of runs as tasks of a real Ray."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray_driver
from bench import PATIENCE_S, Bench, wait
from light_run import EVERY
from ray_cluster import ADDRESS, RayCluster, ray_cluster

from segrank.errors import SegrankError

pytest.importorskip("ray", reason="Ray is not installed")

from segrank.study.ray import RayExecutor

RUNS, STEPS = 6, 200


@pytest.fixture
def two_nodes() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


def test_runs_come_home_though_a_worker_and_a_node_are_killed(two_nodes: RayCluster, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    command = [sys.executable, ray_driver.__file__, str(tmp_path), ADDRESS, str(RUNS), str(STEPS)]
    driver = subprocess.Popen(two_nodes.inside(*command), env=two_nodes.environment, stdout=subprocess.PIPE, text=True)
    head, other = two_nodes.raylet("head"), two_nodes.raylet("other")

    def at_work(node: psutil.Process) -> dict[int, psutil.Process]:
        """Runs on a node, with more to do, and their processes. A worker of Ray's is a child of its node."""
        found = {}
        for number in range(RUNS):
            steps = bench.executed(number)
            with contextlib.suppress(psutil.Error, IndexError):
                if (
                    5 * EVERY < len(steps) < STEPS / 2
                    and (process := psutil.Process(steps[-1][0])).parents()[1] == node
                ):
                    found[number] = process
        return found

    wait(lambda: at_work(head))
    killed, process = at_work(head).popitem()
    process.parent().kill()
    wait(lambda: _is_gone(process))  # it ends with the worker
    wait(lambda: at_work(other))
    lost = set(at_work(other))
    other.kill()
    said, _ = driver.communicate(timeout=2 * PATIENCE_S)
    assert driver.returncode == 0, said
    bench.home(runs=RUNS, steps=STEPS)
    for number in range(RUNS):
        assert bool(bench.repeated(number)) >= (number in {killed, *lost}), said
        assert max(bench.repeated(number), default=0) <= EVERY
    assert "worker died" in said
    assert "node it was running on is dead" in said


def _is_gone(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


def test_whoever_could_be_reached_by_others_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(SegrankError, match="RAY_AUTH_MODE=token"):
        RayExecutor("192.0.2.1:6379")
    with pytest.raises(SegrankError, match="HOST:PORT"):
        RayExecutor("auto")
    with socket.socket() as taken:  # and so closed to all
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SegrankError, match="nobody answers"):
            RayExecutor(f"127.0.0.1:{taken.getsockname()[1]}")
