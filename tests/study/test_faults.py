"""What may go wrong while a study runs, each by its name.

The runs are light ones (`light_run`) in the real store, under the real coordinator and its processes. What a run of
segrank's own does about damaged checkpoints, full disks and kills is in test_run.py (`test_five_kills_change_nothing`,
`test_a_damaged_newest_checkpoint_falls_back_to_the_one_before`, `test_a_checkpoint_that_the_disk_does_not_take_...`,
`test_a_disk_too_full_for_the_record_...`), and what claims do in test_store.py.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from bench import PATIENCE_S, Bench, wait
from light_run import EVERY, STEPS, key_for, units

from segrank.attempt import checkpoints, newest_step
from segrank.files import write_whole
from segrank.store import Store
from segrank.study import coordinator
from segrank.study.coordinator import Care, Coordinator
from segrank.study.local import LocalExecutor
from segrank.study.state import read_state
from segrank.study.tries import forget


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


class Once:
    """Does something when a run has come so far, once."""

    def __init__(self, bench: Bench, action: Callable[[int], None], *, step: int = 10, number: int = 0) -> None:
        self.bench, self.action, self.step, self.number, self.did = bench, action, step, number, False

    def __call__(self) -> None:
        done = self.bench.executed(self.number)
        if not self.did and done and done[-1][1] >= self.step:
            self.did = True
            self.action(done[-1][0])


def sending(number: signal.Signals) -> Callable[[int], None]:
    return lambda pid: os.kill(pid, number)


# ---------------------------------------------------------------- the worker


def test_worker_sigkill(bench: Bench) -> None:
    bench.study(Once(bench, sending(signal.SIGKILL)))
    bench.home()
    [lost] = bench.repeated()
    assert lost <= EVERY


def test_worker_sigterm_costs_nothing_and_is_no_failure(bench: Bench) -> None:
    bench.study(Once(bench, sending(signal.SIGTERM)), tries=1)
    bench.home()
    assert bench.repeated() == [0]


def test_a_hang_is_killed_and_gone_on_with(bench: Bench) -> None:
    bench.fault("hang", step=10)
    bench.study(hang_s=3.0)
    bench.home()
    assert any("no progress for 3 s after step 10: it hangs" in text for text in bench.board.said)


def test_exit_137_is_counted_and_said(bench: Bench) -> None:
    bench.fault("exit", step=2, times=9)
    [state] = bench.study(tries=2)
    assert (state.status, state.failures) == ("quarantined", 2)
    assert "exit status 137, as of a process that was killed for its memory" in state.error


def test_a_crasher_is_quarantined_the_study_goes_on_and_retry_forgives(bench: Bench) -> None:
    bench.fault("crash", step=2, times=3)
    crashed, other = bench.study(runs=2)
    assert (crashed.status, crashed.failures, other.status) == ("quarantined", 3, "done")
    assert crashed.error.startswith("SegrankError: it crashes")
    ran = bench.executed()
    again, _ = bench.study(runs=2)
    assert again == crashed
    assert bench.executed() == ran  # nothing was started
    forget(bench.run())
    bench.study(runs=2)
    bench.home(runs=2)


def test_a_command_that_never_begins_is_quarantined_with_its_words(bench: Bench) -> None:
    def broken(run: Path) -> tuple[str, ...]:
        return sys.executable, "-c", "import sys; sys.exit('no such library')"

    executor = LocalExecutor()
    care = Care(tries=2, pause_s=0.0)
    [state] = Coordinator(units(1), Store(bench.store), executor, broken, bench.board, care).run(lambda: False)
    assert state.status == "quarantined"
    assert "it ended before it began (exit status 1)" in state.error
    assert "no such library" in state.error


def test_a_worker_taken_for_dead_wakes_and_gives_way(bench: Bench) -> None:
    """It is on another machine, as far as it says, so that only its heartbeat tells. It is frozen and let go again."""
    bench.fault("", machine="elsewhere", times=1)
    first = bench.start(runs=1)
    wait(lambda: len(bench.executed()) > 9)
    first.kill()
    [frozen] = bench.workers()
    os.kill(frozen, signal.SIGSTOP)
    try:
        [state] = bench.study(silence_s=2.0)
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert state.status == "done"
    bench.home()
    assert {pid for pid, _ in bench.executed()} > {frozen}
    wait(lambda: not psutil.pid_exists(frozen))
    bench.home()


# ---------------------------------------------------------------- the coordinator


def test_sigint_stops_at_a_checkpoint_and_the_same_command_goes_on(bench: Bench) -> None:
    first = bench.start(steps=400)
    wait(lambda: len(bench.executed(0)) > 5 and len(bench.executed(1)) > 5)
    first.send_signal(signal.SIGINT)
    assert first.wait(PATIENCE_S) == 130
    assert "stopping 2 runs" in bench.said
    assert not bench.workers()
    assert all(read_state(bench.run(n), ()).status == "interrupted" for n in (0, 1))
    assert bench.start(steps=400).wait(PATIENCE_S) == 0
    bench.home(runs=2, steps=400)
    assert bench.repeated(0) == bench.repeated(1) == [0]


def test_sigint_twice_kills_at_once(bench: Bench) -> None:
    bench.fault("hang", step=6)
    first = bench.start(runs=1)
    wait(lambda: len(bench.executed()) >= 6)
    first.send_signal(signal.SIGINT)
    wait(lambda: "stopping" in bench.said)
    first.send_signal(signal.SIGINT)
    assert first.wait(PATIENCE_S) == 130
    wait(lambda: not bench.workers())
    assert bench.start(runs=1).wait(PATIENCE_S) == 0
    bench.home()


def test_coordinator_sigkill_then_the_same_command_finds_its_runs_going_on(bench: Bench) -> None:
    first = bench.start(steps=400)
    wait(lambda: bench.executed(0) and bench.executed(1))
    first.kill()
    first.wait()
    left = bench.workers()
    for pid in left:
        os.kill(pid, signal.SIGSTOP)  # or they would be done before the next command has begun
    second = bench.start(steps=400)
    wait(lambda: "2 runs go on that were started here before" in bench.said)
    for pid in left:
        os.kill(pid, signal.SIGCONT)
    assert second.wait(PATIENCE_S) == 0
    bench.home(runs=2, steps=400)
    assert bench.repeated(0) == bench.repeated(1) == []


def test_the_whole_group_killed_then_the_same_command(bench: Bench) -> None:
    first = bench.start(steps=400)
    wait(lambda: len(bench.executed(0)) > 9 and len(bench.executed(1)) > 9)
    first.kill()
    first.wait()
    for pid in bench.workers():
        os.kill(pid, signal.SIGKILL)
    assert [read_state(bench.run(n), ()).failures for n in (0, 1)] == [0, 0]  # nothing speaks against the runs
    assert bench.start(steps=400).wait(PATIENCE_S) == 0
    bench.home(runs=2, steps=400)
    assert all(lost <= EVERY for n in (0, 1) for lost in bench.repeated(n))


def test_two_coordinators_at_once_do_each_run_once(bench: Bench) -> None:
    both = [bench.start(runs=5), bench.start(runs=5)]
    assert [process.wait(PATIENCE_S) for process in both] == [0, 0]
    bench.home(runs=5)
    for n in range(5):
        assert [step for _, step in bench.executed(n)] == list(range(1, STEPS + 1))


def test_a_clock_that_jumps_kills_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: 1e9 + (-1) ** next(jumps) * 1e8)

    def meddle() -> None:
        for path in bench.store.rglob("heartbeat"):
            os.utime(path, (2e9, 2e9))

    bench.study(meddle, tries=1, hang_s=30.0)
    bench.home()
    assert bench.repeated() == []


# ---------------------------------------------------------------- the disk


@pytest.mark.parametrize("what", ["checkpoint", "record", "everything"])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_disk_that_refuses(bench: Bench, what: str, error: str) -> None:
    """Until somebody mends it: what was earned before is kept."""
    bench.fault(what, errno=error, step=10, times=2)
    bench.study()
    bench.home()
    assert max(bench.repeated(), default=0) <= (EVERY if what != "record" else 0)
    assert any(f"OSError: [Errno {getattr(errno, error)}]" in text for text in bench.board.said)


def test_a_folder_that_is_read_only_is_quarantined_and_the_study_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, content: str) -> None:
        if path.parent.name == key_for(0):  # root may write anywhere, so the system's refusal is played
            raise OSError(30, "Read-only file system")
        write_whole(path, content)

    monkeypatch.setattr(coordinator, "write_whole", refused)
    read_only, other = bench.study(runs=2)
    assert (read_only.status, other.status) == ("quarantined", "done")
    assert "Read-only file system" in read_only.error


def test_a_folder_in_which_an_engine_could_not_write_stops_no_other_run(bench: Bench) -> None:
    (bench.run() / "stderr.txt").mkdir(parents=True)
    odd, other = bench.study(runs=2)
    assert (odd.status, other.status) == ("quarantined", "done")
    assert "Is a directory" in odd.error


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(bench: Bench, damage: str) -> None:
    def harm(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        newest, before = checkpoints(bench.run().glob("attempts/*"))[:2]
        content = bytearray(newest.read_bytes())
        if damage == "truncated":
            del content[len(content) // 2 :]
        else:
            content[len(content) // 2] ^= 1
        newest.write_bytes(content)
        assert newest_step(bench.run()) - int(before.stem[5:]) == EVERY

    bench.study(Once(bench, harm))
    bench.home()
    [lost] = bench.repeated()
    assert EVERY <= lost <= 2 * EVERY
