"""Laps of a step, on a clock that ticks once each time it is read."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from segrank.encoders.open_vit import OpenFeatures
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


class Open(nn.Linear):
    """Leaves a last layer to its decoder, as if it were tokens (1 1 2)."""

    def forward(self, x: Tensor) -> OpenFeatures:  # type: ignore[override]
        tokens = super().forward(x)[None]
        return OpenFeatures(tokens[:, :0], tokens, (1, 1), (), nn.Linear(2, 2))


class GoesOn(nn.Linear):
    def forward(self, features: OpenFeatures) -> Tensor:  # type: ignore[override]
        return super().forward(features.norm(torch.cat([features.prefix, features.patches], 1)))


@pytest.mark.parametrize("frozen", [False, True])
def test_what_an_encoder_leaves_to_its_decoder_is_the_decoders_time(frozen: bool) -> None:
    encoder, decoder = Open(2, 2).requires_grad_(not frozen), GoesOn(2, 1)
    with step_clock(encoder, torch.device("cpu")) as clock:
        step(clock, encoder, decoder)
        assert clock.stop() == {"encoder": 1 if frozen else 2, "decoder": 2, "optimizer": 1}
