"""Real clusters on this machine, for the tests that need one; a process of pytest's has one of its own."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest
import ray_cluster
import slurm_cluster


@pytest.fixture(scope="session")
def slurm_of_two_nodes() -> Iterator[slurm_cluster.SlurmCluster]:
    _need(slurm_cluster.missing_programs(), "submitit", "SLURM")
    with slurm_cluster.slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def slurm(
    slurm_of_two_nodes: slurm_cluster.SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[slurm_cluster.SlurmCluster]:
    """A SLURM that this process is a user of. Jobs that a test leaves are ended."""
    monkeypatch.setenv("SLURM_CONF", slurm_of_two_nodes.environment["SLURM_CONF"])
    yield slurm_of_two_nodes
    slurm_of_two_nodes.clear()


@pytest.fixture(scope="session")
def ray_of_two_nodes() -> Iterator[ray_cluster.RayCluster]:
    _need(ray_cluster.missing_programs(), "ray", "Ray")
    with ray_cluster.ray_cluster() as cluster:
        yield cluster


def _need(missing: list[str], module: str, what: str) -> None:
    """Skip, and say why, where a real cluster cannot be."""
    if importlib.util.find_spec(module) is None:
        missing = [*missing, f"the Python package {module}"]
    if os.name != "posix" or os.getuid() != 0:
        missing = [*missing, "the rights of root"]
    if missing:
        pytest.skip(f"no real {what} here: there is no {', '.join(missing)}")
