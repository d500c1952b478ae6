"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor

from segrank.errors import TrainingError
from segrank.ranks import agreed
from segrank.train.optim import is_out_of_memory, poly, set_lr
from segrank.train.segmenter import Segmenter
from segrank.train.step_clock import Part, StepClock


@dataclass
class Progress:
    """How far a run has come, and what it took; a checkpoint holds it."""

    micro_batch: int
    step: int = 0
    train_s: float = 0.0
    data_wait_s: float = 0.0
    encoder_s: float = 0.0
    decoder_s: float = 0.0
    optimizer_s: float = 0.0
    peak_host_gib: float = 0.0
    peak_device_gib: float | None = None


def train(
    fabric: Fabric,
    model: _FabricModule,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    progress: Progress,
    clock: StepClock,
    *,
    steps: int,
    poly_power: float,
    seed: int,
    evaluate_at: frozenset[int],
    checkpoint_every_s: float,
    on_step: Callable[[int, float, float], None],
    on_evaluate: Callable[[int], None],
    on_checkpoint: Callable[[], None],
    stop: Callable[[], bool],
) -> bool:
    """Train from `progress.step` to `steps`.

    Args:
        model, optimizer: a segmenter and its optimiser as `fabric.setup` gave them.
        batches: one a step: this rank's share of the effective batch, uint8 images and labels.
        clock: the one that takes the encoder's laps.
        on_step: gets steps done, mean loss of the effective batch, and lr.
        stop: asked after every step; true ends the training there, after a checkpoint.

    Returns:
        Whether the end was reached.

    Raises:
        TrainingError: the loss is not finite, or one image does not fit into memory.
    """
    model.train()
    if progress.step in evaluate_at:  # a run that was stopped between its checkpoint there and the evaluation
        on_evaluate(progress.step)
    saved_at = waited_from = time.monotonic()
    for images, labels in agreed(fabric, batches):
        started = time.monotonic()
        progress.data_wait_s += started - waited_from
        set_lr(optimizer, poly(progress.step, steps, poly_power))
        cast(Segmenter, model.module).anneal(progress.step / steps)
        clock.start()
        loss = _backward(fabric, model, optimizer, fabric.to_device((images, labels)), progress, clock, seed)
        if fabric.world_size > 1:
            mean = fabric.all_reduce(torch.tensor(loss, device=fabric.device), reduce_op="mean")
            loss = float(cast(Tensor, mean))
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {progress.step + 1}",
                fix="lower lr, or train with precision=fp32",
            )
        clock.start()  # waiting for other ranks is not the optimiser's
        optimizer.step()
        optimizer.zero_grad()
        clock.lap("optimizer")
        _add(clock.stop(), progress)
        progress.step += 1
        progress.train_s += time.monotonic() - started
        on_step(progress.step, loss, optimizer.param_groups[-1]["lr"])

        evaluating = progress.step in evaluate_at
        stopping = fabric.strategy.reduce_boolean_decision(stop(), all=False)
        overdue = time.monotonic() - saved_at >= checkpoint_every_s
        if stopping or evaluating or overdue or progress.step == steps:
            on_checkpoint()
            saved_at = time.monotonic()
        if stopping:
            break
        if evaluating:
            on_evaluate(progress.step)
        waited_from = time.monotonic()
    return progress.step == steps


def _backward(
    fabric: Fabric,
    model: _FabricModule,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    progress: Progress,
    clock: StepClock,
    seed: int,
) -> float:
    """Gradients of the mean of per-image losses, whatever the micro-batch. Returns that mean."""
    images, labels = batch
    # what a module draws depends on the step alone, so that a resumed run draws the same
    step_seed = np.random.SeedSequence((seed, progress.step, fabric.global_rank)).generate_state(1, np.uint64)
    while True:
        torch.manual_seed(int(step_seed[0]))
        try:
            return _accumulate(fabric, model, images, labels, progress.micro_batch, clock)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if progress.micro_batch == 1 or fabric.world_size > 1:
                smaller = "" if progress.micro_batch == 1 else "--micro-batch, "
                raise TrainingError(
                    f"out of memory with a micro-batch of {progress.micro_batch} on {fabric.device}",
                    fix=f"use a smaller {smaller}crop or encoder, or precision=bf16",
                ) from error
        clock.start()  # what the failed pass took is nobody's
        # outside the handler, so that the failed pass is no longer referenced
        progress.micro_batch = (progress.micro_batch + 1) // 2
        optimizer.zero_grad()
        if fabric.device.type == "cuda":
            torch.cuda.empty_cache()


def _accumulate(
    fabric: Fabric, model: _FabricModule, images: Tensor, labels: Tensor, micro_batch: int, clock: StepClock
) -> float:
    """A function of its own, so that nothing of a pass that ran out of memory is still referenced afterwards."""
    total = torch.zeros((), device=images.device)
    parts = list(zip(torch.split(images, micro_batch), torch.split(labels, micro_batch), strict=True))
    for number, (part_images, part_labels) in enumerate(parts, start=1):
        with fabric.no_backward_sync(model, enabled=number < len(parts)):
            loss = model(part_images, part_labels).sum() / len(images)
            clock.lap("decoder")
            fabric.backward(loss)
            clock.backward_is_over()
        total += loss.detach()
    return float(total)


def _add(seconds: dict[Part, float], progress: Progress) -> None:
    progress.encoder_s += seconds["encoder"]
    progress.decoder_s += seconds["decoder"]
    progress.optimizer_s += seconds["optimizer"]
