"""What becomes of runs as jobs of a real SLURM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from bench import Bench, wait
from light_run import EVERY, command, key_for, units
from slurm_cluster import SlurmCluster, slurm_cluster

import segrank
from segrank.attempt import WEIGHTS, newest_step
from segrank.errors import SegrankError
from segrank.store import Store
from segrank.study.coordinator import Care, Coordinator
from segrank.study.executor import Job
from segrank.study.slurm_options import minutes, slurm_options
from segrank.study.slurm_queue import Batches
from segrank.study.tries import read_tries

pytest.importorskip("submitit", reason="SLURM's jobs are submitted by submitit, which is not installed")

from segrank.study.slurm import SlurmExecutor

SMALL = ("partition=low", "time=10", "cpus=1", "mem=100M")
STEPS = 300
"""Of a run: several seconds."""


STUDY = """
pretrain:
  set:
    {architecture: "timm:vit_tiny_patch16_224?embed_dim=32&depth=1&num_heads=2", dataset: "scenes?size=48&train=8",
     crop: 32, patch_size: 8, steps: 2, batch_size: 4}
  objectives: [pixel-mim]
encoders: ["small:shallow"]
set:
  {weights: random, dataset: "scenes?size=32&train=12&val=5", crop: 32, patch_size: 8, steps: 80, batch_size: 4,
   lr: 1e-3, encoder_lr_multiplier: 1}
"""


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


class Executor(SlurmExecutor):
    """Remembers what it has started."""

    def __init__(self, folder: Path, options: Sequence[str], at_once: int | None) -> None:
        super().__init__(folder, slurm_options(options), at_once=at_once, look_every_s=0.5, say=self._hear)
        self.started: list[str] = []
        self.heard: list[str] = []

    def _hear(self, text: str) -> None:
        self.heard.append(text)

    def start(self, jobs: Sequence[Job]) -> None:
        self.started += [job.key for job in jobs]
        super().start(jobs)


class SlurmBench(Bench):
    """Light runs, and coordinators that have them on SLURM."""

    def executor(self, *, at_once: int | None = None, options: Sequence[str] = SMALL) -> Executor:
        return Executor(self.store / "slurm", options, at_once)

    def coordinate(self, executor: Executor, stop: Callable[[], bool], *, runs: int = 1, first: int = 0) -> None:
        there, study = executor.alive(), units(first + runs, STEPS)[first:]
        adopted = [unit.key for unit in study if unit.key in there]
        Coordinator(study, Store(self.store), executor, command, self.board, Care(pause_s=0.0), adopted).run(stop)
        executor.close()

    def bring_home(self, executor: Executor, *then: Callable[[], object], runs: int = 1) -> None:
        """A study of so many runs. What is to happen meanwhile is tried, one after the other, until it returns true."""
        rest = list(then)

        def meddle() -> bool:
            if rest and rest[0]():
                del rest[0]
            return False

        self.coordinate(executor, meddle, runs=runs)
        assert not rest
        self.home(runs=runs, steps=STEPS)

    def job(self, number: int = 0) -> str:
        """What SLURM calls it, once it has done some steps; empty before."""
        key = key_for(number)
        found = [job.id for job in Batches(self.store / "slurm").queue() if job.key == key]
        return found[0] if found and self.at_work(number) else ""

    def at_work(self, *numbers: int) -> bool:
        """Whether these have done some steps."""
        return all(len(self.executed(number)) > 5 * EVERY for number in numbers)


@pytest.fixture
def bench(tmp_path: Path) -> SlurmBench:
    """In a store of a name that would do something if a shell got at it."""
    folder = tmp_path / "it's $(touch pwned) `touch pwned`; touch pwned & \"#"
    folder.mkdir()
    return SlurmBench(folder)


def test_arrays_come_home_few_at_once_and_the_next_coordinator_finds_them(
    slurm: SlurmCluster, bench: SlurmBench
) -> None:
    first = bench.executor(at_once=3)
    bench.coordinate(first, lambda: bool(first.started), runs=6)  # an array of this SLURM's holds 4
    assert first.started == [key_for(number) for number in range(6)]
    assert "6 jobs stay with SLURM" in first.heard[-1]
    second, most = bench.executor(at_once=3), 0

    def count() -> bool:
        nonlocal most
        most = max(most, slurm.command("squeue", "--noheader", "--states=RUNNING", "--array").count("\n"))
        return most == 3

    bench.bring_home(second, count, runs=6)
    assert second.started == []
    assert most == 3
    assert not list((bench.store / "slurm").iterdir())
    assert not [*bench.store.rglob("*pwned"), *Path().glob("pwned"), *Path.home().glob("pwned")]


def test_usr2_leaves_a_checkpoint_and_goes_back_into_the_queue(slurm: SlurmCluster, bench: SlurmBench) -> None:
    executor = bench.executor()

    def signal_it() -> bool:
        job = bench.job()
        return bool(job) and slurm.command("scancel", "--signal=USR2", job) == ""

    bench.bring_home(executor, signal_it)
    assert bench.repeated() == [0]
    assert len(executor.started) == 1


def test_scontrol_requeue_goes_on_from_a_checkpoint(slurm: SlurmCluster, bench: SlurmBench) -> None:
    executor = bench.executor()

    def requeue() -> bool:
        job = bench.job()
        return bool(job) and slurm.command("scontrol", "requeue", job) == ""

    bench.bring_home(executor, requeue)
    [repeated] = bench.repeated()
    assert repeated <= EVERY
    assert len(executor.started) == 1


def test_a_preempted_job_goes_on_when_there_is_room_again(slurm: SlurmCluster, bench: SlurmBench) -> None:
    executor = bench.executor()
    runs = 4  # all cores of both nodes
    script = bench.store / "urgent.sh"
    script.write_text("#!/bin/sh\nsleep 3\n")

    def preempt() -> bool:
        options = ("--partition=high", "--cpus-per-task=2", "--output=/dev/null")
        return bench.at_work(*range(runs)) and bool(slurm.command("sbatch", *options, str(script)))

    bench.bring_home(executor, preempt, runs=runs)
    repeated = [steps for number in range(runs) for steps in bench.repeated(number)]
    assert repeated == [0, 0]  # both jobs of one node were told, and saved a checkpoint
    assert len(executor.started) == runs


def test_jobs_of_a_node_that_died_go_on_on_another(slurm: SlurmCluster, bench: SlurmBench) -> None:
    executor = bench.executor()
    runs, dead = 4, set[int]()

    def kill_node() -> bool:
        if not bench.at_work(*range(runs)):
            return False
        dead.update(process.pid for process in slurm.processes("n2"))
        slurm.kill_node("n2")
        return True

    try:
        bench.bring_home(executor, kill_node, runs=runs)
    finally:
        slurm.start_node("n2")
    moved = [number for number in range(runs) if bench.executed(number)[0][0] in dead]
    assert len(moved) == 2
    for number in range(runs):
        assert len(bench.repeated(number)) == (number in moved)
        assert max(bench.repeated(number), default=0) <= EVERY
    assert len(executor.started) == runs  # it is SLURM that has started them again


def test_a_killed_task_is_missed_without_accounting(slurm: SlurmCluster, bench: SlurmBench) -> None:
    executor = bench.executor()

    def kill_task() -> bool:
        if not bench.job():
            return False
        os.kill(bench.executed()[-1][0], signal.SIGKILL)
        return True

    bench.bring_home(executor, kill_task)
    [repeated] = bench.repeated()
    assert repeated <= EVERY
    assert len(executor.started) == 2
    [failure] = [text for text in bench.board.said if "ended without a word" in text]
    assert "FAILED on n" in failure
    assert "exit status 137" in failure


def test_a_study_comes_home_though_its_command_and_then_a_task_are_killed(slurm: SlurmCluster, tmp_path: Path) -> None:
    file, store = tmp_path / "two.yaml", Store(tmp_path / "store")
    file.write_text(STUDY)
    asked = [f"--slurm={option}" for option in ("partition=low", "time=10", "cpus=1", "mem=900M")]
    how = ["--store", str(store.folder), "--device", "cpu", "--checkpoint-every", "0.5"]
    command = [sys.executable, "-m", "segrank", "study", str(file), "--on", "slurm", *asked, *how]

    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: any(newest_step(store.run_folder(key)) for key in store.run_keys()))
    first.kill()
    first.wait()
    victim = next(key for key in store.run_keys() if newest_step(store.run_folder(key)))
    os.kill(json.loads((store.run_folder(victim) / "claim").read_text())["pid"], signal.SIGKILL)

    second = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert second.returncode == 0, second.stderr
    records = {record.key: record for record in store.scan(lambda error: pytest.fail(str(error)))}
    assert {key: record.provenance.attempts for key, record in records.items()} == {
        key: 1 + (key == victim) for key in store.run_keys()
    }
    [pretrained] = (store.folder / "pretraining").glob("*/weights.safetensors")
    assert {record.spec.weights for record in records.values()} == {"random", str(pretrained)}
    killed = records[victim]
    undisturbed = Store(tmp_path / "undisturbed")
    segrank.run(killed.spec, store=undisturbed.folder, device="cpu")
    same = undisturbed.published(victim)
    assert same is not None
    assert (same.status, same.miou) == (killed.status, killed.miou)
    assert undisturbed.file(same, WEIGHTS).read_bytes() == store.file(killed, WEIGHTS).read_bytes()


def test_stop_leaves_a_checkpoint_kill_an_end_and_what_waits_leaves_the_queue(
    slurm: SlurmCluster, bench: SlurmBench
) -> None:
    executor = bench.executor(at_once=2)
    bench.coordinate(executor, lambda: bool(executor.started), runs=3)
    stopped, killed, waiting = map(key_for, range(3))
    wait(lambda: bench.at_work(0, 1) and executor.alive() and executor.waiting() == {waiting})
    executor.stop(stopped)
    executor.stop(waiting)
    executor.kill(killed)
    wait(lambda: not executor.alive())
    for number in (0, 1, 2):
        assert (bench.run(number) / "record.json").exists() is False
    assert [one["outcome"] for one in read_tries(bench.run(0)).values()] == ["interrupted"]
    assert not bench.executed(2)


def test_what_sbatch_refuses_is_told_and_leaves_nothing(slurm: SlurmCluster, bench: SlurmBench) -> None:
    with pytest.raises(SegrankError, match="invalid partition"):
        bench.executor(options=("partition=none-such", "time=10"))
    assert not (bench.store / "slurm").exists()


@pytest.mark.parametrize("time", ["7", "90:30", "1:02:03", "2-3", "2-03:04", "1-00:00:01", "0:30"])
def test_a_time_is_read_as_slurm_does(slurm: SlurmCluster, time: str) -> None:
    submitted = slurm.command("sbatch", "--hold", "--parsable", f"--time={time}", "--output=/dev/null", "--wrap=true")
    limit = slurm.command("squeue", "--noheader", "--format=%l", f"--job={submitted.strip()}").strip()
    days, _, clock = limit.rpartition("-")
    hours, mins, _ = (["0", *clock.split(":")])[-3:]
    assert minutes(time) == int(days or 0) * 1440 + int(hours) * 60 + int(mins)
