"""Laps of a step, on a clock that ticks once each time it is read."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from segrank.train.step_clock import StepClock, step_clock


@pytest.fixture(autouse=True)
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("segrank.train.step_clock.time.monotonic", lambda: float(next(ticks)))


def step(clock: StepClock, encoder: nn.Module, decoder: nn.Module, parts: int = 1) -> None:
    clock.start()
    for _ in range(parts):
        loss = decoder(encoder(torch.ones(1, 2))).sum()
        clock.lap("decoder")
        loss.backward()
        clock.backward_is_over()
    clock.lap("optimizer")


def test_forward_and_backward_of_each_part_are_counted() -> None:
    encoder, decoder = nn.Linear(2, 2), nn.Linear(2, 1)
    with step_clock(encoder, torch.device("cpu")) as clock:
        step(clock, encoder, decoder)
        assert clock.stop() == {"encoder": 2, "decoder": 2, "optimizer": 1}
        step(clock, encoder, decoder, parts=3)
        assert clock.stop() == {"encoder": 6, "decoder": 6, "optimizer": 1}


def test_a_frozen_encoder_has_no_backward() -> None:
    encoder, decoder = nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1)
    with step_clock(encoder, torch.device("cpu")) as clock:
        step(clock, encoder, decoder)
        assert clock.stop() == {"encoder": 1, "decoder": 2, "optimizer": 1}


def test_what_happens_between_steps_is_not_counted() -> None:
    encoder, decoder = nn.Linear(2, 2), nn.Linear(2, 1)
    with step_clock(encoder, torch.device("cpu")) as clock:
        step(clock, encoder, decoder)
        clock.stop()
        decoder(encoder(torch.ones(1, 2)))  # an evaluation
        step(clock, encoder, decoder)
        assert clock.stop() == {"encoder": 2, "decoder": 2, "optimizer": 1}
    assert not encoder._forward_hooks
