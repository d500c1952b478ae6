import os
import signal
import threading
from collections.abc import Iterator

import pytest
import torch

from segrank.threads import spread


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_every_index_has_its_turn_once(threads: int, count: int) -> None:
    done: list[int] = []
    spread(lambda start, stop: done.extend(range(start, stop)), count)
    assert sorted(done) == list(range(count))


def test_stretches_run_at_once(threads: int) -> None:
    meeting = threading.Barrier(threads, timeout=30)
    spread(lambda start, stop: meeting.wait(), threads)


@pytest.mark.parametrize("failing", [0, 6, 11])
def test_an_error_comes_back_once_all_have_stopped(threads: int, failing: int) -> None:
    stopped: list[int] = []

    def work(start: int, stop: int) -> None:
        if start <= failing < stop:
            raise ValueError("one of them")
        stopped.append(start)

    with pytest.raises(ValueError, match="one of them"):
        spread(work, 12)
    assert len(stopped) == threads - 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        spread(lambda start, stop: None, 2)
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # rather than wait for ever for threads that stayed behind
            done: list[int] = []
            spread(lambda start, stop: done.append(start), 2)
            os._exit(0 if len(done) == 2 else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)
