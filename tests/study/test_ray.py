"""What becomes of runs as tasks of a real Ray."""

from __future__ import annotations

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

RUNS, STEPS = 6, 600


@pytest.fixture
def two_nodes() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


def test_runs_come_home_though_a_worker_and_a_node_are_killed(two_nodes: RayCluster, tmp_path: Path) -> None:
    bench, first = Bench(tmp_path), range(4)  # two nodes of two cores
    command = [sys.executable, ray_driver.__file__, str(tmp_path), ADDRESS, str(RUNS), str(STEPS)]
    driver = subprocess.Popen(two_nodes.inside(*command), env=two_nodes.environment, stdout=subprocess.PIPE, text=True)
    wait(lambda: all(len(bench.executed(number)) > 5 * EVERY for number in first))
    process = {number: psutil.Process(bench.executed(number)[0][0]) for number in first}
    node = {number: process[number].parents()[1] for number in first}  # a worker of Ray's is a child of its node
    dead = two_nodes.raylet("other")
    lost = [number for number in first if node[number] == dead]
    killed = next(number for number in first if node[number] != dead)
    process[killed].parents()[0].kill()
    wait(lambda: not process[killed].is_running())  # it ends with the worker
    dead.kill()
    said, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, said
    bench.home(runs=RUNS, steps=STEPS)
    assert lost
    for number in range(RUNS):
        assert len(bench.repeated(number)) == (number in (killed, *lost)), said
        assert max(bench.repeated(number), default=0) <= EVERY
    assert "worker died" in said
    assert said.count("node it was running on is dead") == len(lost)


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
