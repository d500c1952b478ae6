"""Two ways to do one thing, timed side by side in one run.

Rounds alternate between the two, each round in the other order than the one before, so that a machine that slows
down slows both. A ratio is formed in each round; their median stands in the table, with the least and the largest.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

Call = Callable[[], object]


class Ratio(NamedTuple):
    """Plain over ours: 2 means half the time."""

    what: str
    plain_s: float
    """Median of a call, as `ours_s`."""
    ours_s: float
    median: float
    least: float
    largest: float

    def __str__(self) -> str:
        return (
            f"{self.what:<44} plain {_time(self.plain_s):>9}  ours {_time(self.ours_s):>9}  "
            f"{self.median:6.2f}x ({self.least:.2f} to {self.largest:.2f})"
        )


def paired(what: str, plain: Call, ours: Call, *, rounds: int = 7, calls: int = 1) -> Ratio:
    """Time `calls` calls of each in each of `rounds` rounds, after one call of each that is not counted."""
    plain(), ours()
    times: dict[Call, list[float]] = {plain: [], ours: []}
    for number in range(rounds):
        for call in (plain, ours) if number % 2 else (ours, plain):
            started = time.perf_counter()
            for _ in range(calls):
                call()
            times[call].append((time.perf_counter() - started) / calls)
    ratios = [p / o for p, o in zip(times[plain], times[ours], strict=True)]
    return Ratio(
        what,
        statistics.median(times[plain]),
        statistics.median(times[ours]),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def peak_mib(prepare: Callable[[], Call]) -> float:
    """Largest resident memory that a call takes beyond what is there before it, in a process of its own. Linux only.

    Args:
        prepare: a function of a module, which makes the inputs and returns the call.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(prepare, sender))
    process.start()
    sender.close()
    try:
        result: float = receiver.recv()
    finally:
        process.join()
    return result


def _measure(prepare: Callable[[], Call], sender: multiprocessing.connection.Connection) -> None:
    call = prepare()
    with suppress(AttributeError, OSError):  # glibc's: what the preparation has freed would else be used in silence
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): sets the peak to what is resident now
    before = _peak_kib()
    call()
    sender.send((_peak_kib() - before) / 1024)


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _time(seconds: float) -> str:
    for unit, per_second in (("s", 1.0), ("ms", 1e3)):
        if seconds * per_second >= 1:
            return f"{seconds * per_second:.2f} {unit}"
    return f"{1e6 * seconds:.0f} us"
