"""Where the time of a training step goes: encoder, decoder with its loss, or optimiser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from segrank.encoders.open_vit import OpenFeatures

Part = Literal["encoder", "decoder", "optimizer"]


class StepClock:
    """Adds up laps. On a GPU the laps are events in its stream, so that nothing waits for it to be read.

    Forward and backward both count: the gradient reaches the features when the decoder's backward is over. Blocks that
    an encoder leaves to its decoder are the decoder's time.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._running = self._encoder_is_behind = False
        self._marks: list[tuple[Part | None, torch.cuda.Event | float]] = []

    def start(self) -> None:
        """Time is counted from here until `stop`. Evaluations between steps are not training."""
        self._running = True
        self._mark(None)

    def lap(self, part: Part) -> None:
        """What went by since the last mark was this part's."""
        self._mark(part)

    def backward_is_over(self) -> None:
        """Its last piece was the encoder's, unless that is frozen."""
        self.lap("encoder" if self._encoder_is_behind else "decoder")
        self._encoder_is_behind = False

    def stop(self) -> dict[Part, float]:
        """Seconds of the laps since the last stop. What a GPU has not done yet is told at the next one."""
        self._running = False
        seconds: dict[Part, float] = dict.fromkeys(get_args(Part), 0.0)
        done = 0
        for (_, before), (part, now) in pairwise(self._marks):
            if isinstance(now, torch.cuda.Event) and not now.query():  # type: ignore[no-untyped-call]
                break
            done += 1
            if part is not None:
                seconds[part] += _seconds(before, now)
        self._marks = self._marks[done:]
        return seconds

    def on_features(self, module: nn.Module, images: object, features: Tensor | OpenFeatures) -> None:
        """A hook after the encoder's forward."""
        if self._running:
            self.lap("encoder")
            last = features.patches if isinstance(features, OpenFeatures) else features
            if last.requires_grad:
                last.register_hook(self._on_gradient)  # type: ignore[no-untyped-call]

    def _on_gradient(self, gradient: Tensor) -> None:
        self.lap("decoder")
        self._encoder_is_behind = True

    def _mark(self, part: Part | None) -> None:
        now: torch.cuda.Event | float = time.monotonic()
        if self.device.type == "cuda":
            now = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            now.record(torch.cuda.current_stream(self.device))
        self._marks.append((part, now))


@contextmanager
def step_clock(encoder: nn.Module, device: torch.device) -> Iterator[StepClock]:
    """A clock that takes the laps of this encoder by itself."""
    clock = StepClock(device)

    handle = encoder.register_forward_hook(clock.on_features)
    try:
        yield clock
    finally:
        handle.remove()


def _seconds(before: torch.cuda.Event | float, now: torch.cuda.Event | float) -> float:
    if isinstance(before, float) or isinstance(now, float):
        assert isinstance(before, float)
        assert isinstance(now, float)
        return now - before
    return float(before.elapsed_time(now)) / 1e3
