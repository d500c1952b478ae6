"""Being asked to stop: what signals mean to a run."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)


class Stopped(Exception):  # noqa: N818  not an error
    """Somebody asked to stop, in the middle of an evaluation."""


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """While it lasts, SIGINT, SIGTERM, SIGHUP and SIGUSR2 ask for a stop, which a run does after its step or image.

    USR2 is what SLURM sends to every process of a job before its time is up. A second SIGINT stops at once. Outside the
    main thread signals are left as they are.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def handle(number: int, _: object) -> None:
        # nothing is printed here: the signal may have come in the middle of a print
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, handle) for number in _ASKING}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_signals_to_the_run(_: int = 0) -> None:
    """For workers: Ctrl-C reaches the whole group, and the run still wants its batch. They end with their parent."""
    for number in _ASKING:
        signal.signal(number, signal.SIG_IGN)
