"""Two hundred kills at random moments, and the study comes home as if there had been none."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from bench import PATIENCE_S, Bench, wait
from light_run import EVERY

from segrank.attempt import checkpoints
from segrank.ranking.table import results_of
from segrank.store import Store

RUNS, STEPS, JOBS, KILLS = 24, 100, 8, 50


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("undisturbed"))
    assert bench.start(runs=RUNS, jobs=JOBS, steps=STEPS).wait(PATIENCE_S) == 0
    return bench


@pytest.mark.parametrize("seed", range(4))
def test_fifty_kills_lose_nothing_and_count_nothing_twice(tmp_path: Path, undisturbed: Bench, seed: int) -> None:
    chance, bench = random.Random(seed), Bench(tmp_path)
    damaged: Counter[int] = Counter()
    try:
        _kill(bench, chance, damaged)
        wait(lambda: bench.coordinators[-1].poll() is not None)
        assert bench.coordinators[-1].returncode == 0
        assert not bench.workers()
    finally:
        bench.close()
    bench.home(runs=RUNS, steps=STEPS)  # every record once, with the score of an undisturbed chain of steps
    for number in range(RUNS):
        lost = bench.repeated(number)
        assert sum(steps > EVERY for steps in lost) <= damaged[number]
        assert max(lost, default=0) <= 2 * EVERY
    tables = [results_of(Store(one.store)).rows for one in (bench, undisturbed)]
    assert tables[0].equals(tables[1])


def _kill(bench: Bench, chance: random.Random, damaged: Counter[int]) -> None:
    """Whenever some more steps were done: mostly a worker, sometimes with its newest checkpoint; or the coordinator."""
    process = bench.start(runs=RUNS, jobs=JOBS, steps=STEPS)
    for _ in range(KILLS):
        target = _executed(bench) + chance.randint(5, 50)
        wait(lambda target=target: _executed(bench) >= target and bench.workers())  # type: ignore[misc]
        assert process.poll() is None, bench.said
        kind = chance.choices(["kill", "damage", "stop", "coordinator", "all"], [60, 15, 10, 10, 5])[0]
        victims = bench.workers()
        for pid in victims if kind == "all" else [chance.choice(victims)] if victims else []:
            with contextlib.suppress(ProcessLookupError):  # it was faster, and is done
                _strike(bench, pid, kind, chance, damaged)
        if kind in ("coordinator", "all"):
            process.kill()
            process.wait()
            process = bench.start(runs=RUNS, jobs=JOBS, steps=STEPS)


def _strike(bench: Bench, pid: int, kind: str, chance: random.Random, damaged: Counter[int]) -> None:
    os.kill(pid, signal.SIGTERM if kind == "stop" else signal.SIGSTOP)
    if kind == "damage":
        damaged.update(_damage(bench, pid, chance))
    if kind in ("kill", "damage", "all"):
        os.kill(pid, signal.SIGKILL)
    elif kind == "coordinator":
        os.kill(pid, signal.SIGCONT)


def _executed(bench: Bench) -> int:
    return sum(path.stat().st_size for path in bench.store.glob("executed/*")) // 10


def _damage(bench: Bench, pid: int, chance: random.Random) -> list[int]:
    """Spoil the newest of two checkpoints of the run that a stopped process is at."""
    for number in range(RUNS):
        done = bench.executed(number)
        found = checkpoints(bench.run(number).glob("attempts/*"))
        if done and done[-1][0] == pid and len(found) > 1:
            content = bytearray(found[0].read_bytes())
            if chance.random() < 0.5:
                del content[chance.randrange(len(content)) :]
            else:
                content[chance.randrange(len(content))] ^= 1
            found[0].write_bytes(content)
            return [number]
    return []
