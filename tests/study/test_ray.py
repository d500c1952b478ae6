"""What becomes of runs as tasks of a real Ray."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray_driver
from light_study import LightStudy
from light_work import CHECKPOINT_EVERY, events
from polling import wait_until
from ray_cluster import ADDRESS, RayCluster, ray_cluster

from segrank.errors import SegrankError

pytest.importorskip("ray", reason="Ray is not installed")

from segrank.study.ray import RayExecutor

STEPS = 150
KEYS = ("r0", "r1", "r2", "r3", "r4", "r5")


@pytest.fixture
def two_nodes() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


def test_runs_come_home_though_a_worker_and_a_node_are_killed(two_nodes: RayCluster, tmp_path: Path) -> None:
    command = [sys.executable, ray_driver.__file__, ADDRESS, str(tmp_path), str(STEPS), *KEYS]
    watch = LightStudy(tmp_path, executor=None)  # type: ignore[arg-type]  # it only reads
    driver = subprocess.Popen(two_nodes.inside(*command), env=two_nodes.environment, stdout=subprocess.PIPE, text=True)
    first = KEYS[:4]  # two nodes of two cores
    wait_until(watch.has_checkpoints(*first), "four run")
    process = {key: psutil.Process(events(watch.run(key), "begin")[0]["pid"]) for key in first}
    on = {key: process[key].parents()[1] for key in first}  # a worker of Ray's is a child of its node
    killed = next(key for key in first if on[key] != two_nodes.raylet("other"))
    lost = [key for key in first if on[key] == two_nodes.raylet("other")]
    assert lost
    process[killed].parents()[0].kill()
    wait_until(lambda: not process[killed].is_running(), "a killed worker takes its run along")
    two_nodes.raylet("other").kill()
    out, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0
    told = json.loads(out.splitlines()[-1])
    assert watch.done(*KEYS)
    assert {key for key, times in told["starts"].items() if times > 1} == {killed, *lost}
    assert any("worker died" in end for end in told["ends"])
    assert any("node it was running on is dead" in end for end in told["ends"])
    for key in (killed, *lost):
        assert events(watch.run(key), "begin")[1]["step"] >= CHECKPOINT_EVERY


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
