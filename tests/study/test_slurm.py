"""What becomes of runs as jobs of a real SLURM."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import light_work
import pytest
from light_study import LightStudy
from light_work import events
from polling import wait_until
from slurm_cluster import SlurmCluster, slurm_cluster

from segrank.errors import SegrankError
from segrank.study.slurm_options import minutes, slurm_options
from segrank.study.slurm_queue import Batches

pytest.importorskip("submitit", reason="SLURM's jobs are submitted by submitit, which is not installed")

from segrank.study.slurm import SlurmExecutor

SMALL = ("partition=low", "time=10", "cpus=1", "mem=100M")


@pytest.fixture(scope="session")
def two_nodes() -> Iterator[SlurmCluster]:
    """A process of pytest's has a SLURM of its own."""
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def slurm(two_nodes: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """One that this process is a user of. Jobs that a test leaves are ended."""
    monkeypatch.setenv("SLURM_CONF", two_nodes.environment["SLURM_CONF"])
    yield two_nodes
    two_nodes.clear()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Of a name that would do something if a shell got at it."""
    folder = tmp_path / "it's $(touch pwned) `touch pwned`; touch pwned & \"#"
    folder.mkdir()
    return folder


class Study(LightStudy):
    """On SLURM."""

    executor: SlurmExecutor

    def __init__(self, store: Path, *, at_once: int | None = None, options: Sequence[str] = SMALL) -> None:
        executor = SlurmExecutor(
            store / "slurm", slurm_options(options), at_once=at_once, look_every_s=0.5, say=lambda _: None
        )
        super().__init__(store, executor)

    def job(self, key: str) -> str:
        """What SLURM calls it."""
        [job] = [job for job in Batches(self.executor.folder).queue() if job.key == key]
        return job.id


def test_arrays_come_home_few_at_once_and_another_coordinator_finds_them(slurm: SlurmCluster, store: Path) -> None:
    keys = [f"a{index}" for index in range(6)]  # an array of this SLURM's holds 4
    first = Study(store, at_once=3)
    first.start(10, *keys)
    second = Study(store, at_once=3)
    assert second.executor.alive() == set(keys)
    most = 0

    def home() -> bool:
        nonlocal most
        most = max(most, slurm.command("squeue", "--noheader", "--states=RUNNING", "--array").count("\n"))
        return not second.executor.alive()

    wait_until(home, "the arrays are done")
    assert second.done(*keys)
    assert most == 3
    assert all(len(events(second.run(key), "begin")) == 1 for key in keys)
    assert "COMPLETED" in second.executor.how_it_ended("a5")
    second.executor.close()
    assert not list((store / "slurm").iterdir())
    assert not [*store.rglob("*pwned"), *Path().glob("pwned"), *Path.home().glob("pwned")]


def test_usr2_leaves_a_checkpoint_and_goes_back_into_the_queue(slurm: SlurmCluster, store: Path) -> None:
    study = Study(store)
    study.start(30, "u")
    wait_until(study.has_begun("u"), "it runs")
    slurm.command("scancel", "--signal=USR2", study.job("u"))
    wait_until(lambda: study.done("u"), "it is done")
    [first, second] = events(study.run("u"), "begin")
    [stop] = events(study.run("u"), "stop")
    assert first["step"] == 0
    assert second["step"] == stop["step"] > 0
    assert study.starts["u"] == 1


def test_scontrol_requeue_goes_on_from_the_checkpoint(slurm: SlurmCluster, store: Path) -> None:
    study = Study(store)
    study.start(30, "q")
    wait_until(study.has_checkpoints("q"), "a checkpoint")
    slurm.command("scontrol", "requeue", study.job("q"))
    wait_until(lambda: study.done("q"), "it is done")
    assert [begun["step"] > 0 for begun in events(study.run("q"), "begin")] == [False, True]
    assert study.starts["q"] == 1


def test_a_preempted_job_goes_on_when_the_node_is_free_again(slurm: SlurmCluster, store: Path) -> None:
    low, high = Study(store), Study(store, options=("partition=high", "time=10", "cpus=2", "mem=100M"))
    keys = ["p0", "p1", "p2", "p3"]  # all four cores of both nodes
    low.start(80, *keys)
    wait_until(low.has_begun(*keys), "they run")
    high.start(10, "h")
    wait_until(lambda: high.done("h"), "the preemptor is done")
    assert not low.done(*keys)
    wait_until(lambda: low.done(*keys), "they are done")
    stopped = [key for key in keys if events(low.run(key), "stop")]
    assert len(stopped) == 2
    for key in stopped:
        assert events(low.run(key), "begin")[1]["step"] == events(low.run(key), "stop")[0]["step"]
    assert set(low.starts.values()) == {1}


def test_jobs_of_a_node_that_died_go_on_on_another(slurm: SlurmCluster, store: Path) -> None:
    study = Study(store)
    keys = ["n0", "n1", "n2", "n3"]
    study.start(60, *keys)
    wait_until(study.has_checkpoints(*keys), "checkpoints")
    slurm.kill_node("n2")
    try:
        study.bring_home(60, *keys)
    finally:
        slurm.start_node("n2")
    moved = [begun for key in keys if len(begun := events(study.run(key), "begin")) > 1]
    assert moved
    for first, second in moved:
        assert (first["node"], second["node"]) == ("n2", "n1")
        assert second["step"] >= light_work.CHECKPOINT_EVERY


def test_a_killed_task_is_missed_without_accounting(slurm: SlurmCluster, store: Path) -> None:
    study = Study(store)
    study.start(20, "k")
    wait_until(study.has_checkpoints("k"), "a checkpoint")
    os.kill(events(study.run("k"), "begin")[0]["pid"], signal.SIGKILL)
    wait_until(lambda: not study.executor.alive(), "SLURM has let go of it")
    study.bring_home(20, "k")
    assert "FAILED on n" in study.ends[0]
    assert "exit status 137" in study.ends[0]
    assert study.starts["k"] == 2
    assert events(study.run("k"), "begin")[1]["step"] >= light_work.CHECKPOINT_EVERY


def test_stop_leaves_a_checkpoint_and_kill_an_end_and_what_waits_leaves_the_queue(
    slurm: SlurmCluster, store: Path
) -> None:
    study = Study(store, at_once=2)
    study.start(600, "s", "k", "waits")
    wait_until(study.has_begun("s", "k"), "they run")
    wait_until(lambda: study.executor.alive() and study.executor.waiting() == {"waits"}, "one waits")
    for key in ("s", "waits"):
        study.executor.stop(key)
    study.executor.kill("k")
    wait_until(lambda: not study.executor.alive(), "all have gone")
    assert events(study.run("s"), "stop")
    assert not events(study.run("waits"))


def test_what_sbatch_refuses_is_told_and_leaves_nothing(slurm: SlurmCluster, store: Path) -> None:
    with pytest.raises(SegrankError, match="invalid partition"):
        Study(store, options=("partition=none-such", "time=10"))
    assert not (store / "slurm").exists()


@pytest.mark.parametrize("time", ["7", "90:30", "1:02:03", "2-3", "2-03:04", "1-00:00:01", "0:30"])
def test_a_time_is_read_as_slurm_does(slurm: SlurmCluster, time: str) -> None:
    submitted = slurm.command("sbatch", "--hold", "--parsable", f"--time={time}", "--output=/dev/null", "--wrap=true")
    limit = slurm.command("squeue", "--noheader", "--format=%l", f"--job={submitted.strip()}").strip()
    days, _, clock = limit.rpartition("-")
    hours, mins, _ = (["0", *clock.split(":")])[-3:]
    assert minutes(time) == int(days or 0) * 1440 + int(hours) * 60 + int(mins)
