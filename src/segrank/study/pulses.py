"""Processes on other machines: whether they are still heard of, by this machine's clock alone. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from segrank.study.state import State


@dataclass
class _Pulse:
    """The last change in what a process says."""

    pulse: str
    since: float


class Pulses:
    """One for each run, by any number."""

    def __init__(self, silence_s: float) -> None:
        self.silence_s = silence_s
        self._last: dict[int, _Pulse] = {}

    def is_silent(self, index: int, state: State, now: float) -> bool:
        """Whether the process at this run is on another machine and has not been heard of for too long."""
        if state.here:
            return False
        last = self._last.get(index)
        if last is None or last.pulse != state.pulse:
            self._last[index] = _Pulse(state.pulse, now)
            return False
        return now - last.since >= self.silence_s

    def forget(self, index: int) -> None:
        """Listen anew."""
        self._last.pop(index, None)
