"""One attempt at a pretraining: build, resume, train, publish."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from lightning_fabric import Fabric
from torch import Tensor

from segrank.attempt import WEIGHTS, Attempt
from segrank.cards.own import card_file
from segrank.data.dataset import Dataset, Split
from segrank.errors import TrainingError
from segrank.files import write_whole
from segrank.pretrain.card import card_of_pretraining
from segrank.pretrain.collapse import warning
from segrank.pretrain.health import CHECKS, health, probe_images
from segrank.pretrain.network import Network, build_network
from segrank.pretrain.objectives import OBJECTIVES, Objective
from segrank.pretrain.optim import adamw, lr_share
from segrank.pretrain.record import Health, PretrainRecord
from segrank.pretrain.store import PretrainStore
from segrank.pretrain.views import batches_of_views
from segrank.progress import Reporter
from segrank.provenance import provenance
from segrank.ranks import agreed
from segrank.record import Status
from segrank.train import checkpoint
from segrank.train.one_attempt import OneAttempt
from segrank.train.optim import set_lr
from segrank.train.resume import capture, restore


@dataclass
class Progress:
    """How far a pretraining has come; a checkpoint holds it."""

    step: int = 0
    train_s: float = 0.0
    health: list[dict[str, float | None]] = field(default_factory=list)
    losses: float = 0.0
    """Their sum since the last look."""
    since: int = 0
    """Steps since then."""


def published(store: PretrainStore, key: str) -> PretrainRecord:
    """The record of a pretraining that is known to be finished."""
    record = store.published(key)
    assert record is not None
    return record


class Session(OneAttempt[PretrainRecord]):
    """One attempt at a pretraining."""

    def __init__(
        self,
        fabric: Fabric,
        record: PretrainRecord,
        attempt: Attempt,
        dataset: Dataset,
        split: Split,
        workers: int,
        checkpoint_every_s: float,
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> None:
        super().__init__(fabric, attempt)
        self.record, self.reporter, self.stop = record, reporter, stop
        self.dataset, self.split, self.workers = dataset, split, workers
        self.checkpoint_every_s = checkpoint_every_s
        self.spec = record.spec
        self.progress = Progress()
        self.parameters = self.dim = 0

    def go(self) -> PretrainRecord:
        spec, fabric = self.spec, self.fabric
        network = build_network(spec)
        self.parameters, self.dim = sum(p.numel() for p in network.parameters()), network.dim
        if spec.objective == "none":
            return self._publish(network)
        way = OBJECTIVES[spec.objective]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed)
            objective = way.build(spec, network, len(self.dataset.classes))
        if fabric.world_size > 1 and fabric.device.type == "cuda":  # there is none for a CPU
            objective = torch.nn.SyncBatchNorm.convert_sync_batchnorm(objective)  # type: ignore[no-untyped-call]
        optimizer = adamw(objective, lr=spec.lr, weight_decay=spec.weight_decay)
        model, optimizer = fabric.setup(objective, optimizer)
        self.reporter.say(
            f"pretraining {self.record.key}: {spec.objective} on {len(self.split)} images of {self.dataset.name}, "
            f"{self.parameters / 1e6:.2f} M parameters, {self.record.precision} on {fabric.device}"
        )
        if resumed := restore(fabric, self.attempt, objective, optimizer, self.reporter.say):
            self.progress, self.started = Progress(**resumed[0]), resumed[1]
            self.reporter.say(f"going on from step {self.progress.step} of {spec.steps}")
        probe = probe_images(self.split, spec.crop[0]).to(fabric.device)
        batches = batches_of_views(
            self.split, way.views(spec), seed=spec.seed, batch_size=spec.batch_size, steps=spec.steps,
            first_step=self.progress.step, rank=fabric.global_rank, ranks=fabric.world_size, workers=self.workers,
        )  # fmt: skip
        if not self._train(model, optimizer, objective, batches, probe):
            self.reporter.say(f"stopped at step {self.progress.step} of {spec.steps}; the same command goes on there")
            record = self._end("interrupted")
            fabric.barrier()
            return record
        return self._publish(objective.learnt)

    def _train(
        self,
        model: Any,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        batches: Iterable[list[Tensor]],
        probe: Tensor,
    ) -> bool:
        spec, fabric, progress = self.spec, self.fabric, self.progress
        checks = {round(spec.steps * part / CHECKS) for part in range(CHECKS + 1)}
        if progress.step in checks:
            self._look(objective, probe)
        model.train()
        saved_at = started = time.monotonic()
        with self._open_log() as log:
            for views in agreed(fabric, batches):
                set_lr(optimizer, lr_share(progress.step, spec.steps, spec.warmup))
                draw = np.random.SeedSequence((spec.seed, progress.step, fabric.global_rank)).generate_state(
                    1, np.uint64
                )
                torch.manual_seed(int(draw[0]))
                loss = model(fabric.to_device(views))
                fabric.backward(loss)
                fabric.clip_gradients(model, optimizer, max_norm=spec.clip, error_if_nonfinite=False)
                value = float(cast(Tensor, fabric.all_reduce(loss.detach(), reduce_op="mean")))
                if not math.isfinite(value):
                    raise TrainingError(f"the loss is {value} at step {progress.step + 1}", fix="lower lr")
                optimizer.step()
                optimizer.zero_grad()
                progress.step += 1
                progress.losses += value
                progress.since += 1
                objective.after_step(progress.step)
                now = time.monotonic()
                progress.train_s += now - started
                self.attempt.claim.state.update(step=progress.step, steps=spec.steps)
                lr = optimizer.param_groups[0]["lr"]
                log.write(json.dumps({"step": progress.step, "loss": value, "lr": lr}) + "\n")
                self.reporter.advance("pretrain", progress.step, spec.steps, f"loss {value:.3f}")
                if progress.step in checks:
                    self._look(objective, probe)
                stopping = fabric.strategy.reduce_boolean_decision(self.stop(), all=False)
                if stopping or progress.step == spec.steps or now - saved_at >= self.checkpoint_every_s:
                    log.flush()
                    os.fsync(log.fileno())
                    self._checkpoint(objective, optimizer)
                    saved_at = time.monotonic()
                if stopping:
                    break
                started = time.monotonic()
        return progress.step == spec.steps

    def _look(self, objective: Objective, probe: Tensor) -> None:
        """Keep the features' health at this step, unless an earlier attempt has."""
        progress = self.progress
        if any(found["step"] == progress.step for found in progress.health):
            return
        loss = progress.losses / progress.since if progress.since else None
        found = health(objective.learnt, probe, progress.step, loss)
        progress.losses, progress.since = 0.0, 0
        progress.health.append(found.model_dump())
        if said := warning(found, self.spec):
            self.reporter.say(f"warning: {said}")

    def _checkpoint(self, objective: Objective, optimizer: torch.optim.Optimizer) -> None:
        if self.fabric.is_global_zero:
            self.attempt.check()
            state = capture(self.fabric, objective, optimizer, vars(self.progress), self.started)
            checkpoint.save(self.attempt.folder, self.progress.step, state)

    def _publish(self, network: Network) -> PretrainRecord:
        if self.fabric.is_global_zero:
            self.attempt.check()
            tensors = {name: value.detach().cpu().contiguous() for name, value in network.vit.state_dict().items()}
            write_whole(self.attempt.folder / WEIGHTS, safetensors.torch.save(tensors))
            record = self._record("ok")
            card = card_file(self.attempt.store.run_folder(record.key) / WEIGHTS)
            write_whole(card, json.dumps(record.card, indent=1) + "\n")
            self.attempt.publish(record)
        self.fabric.barrier()
        return published(PretrainStore(self.attempt.store.folder), self.record.key)

    def _record(self, status: Status, error: str = "") -> PretrainRecord:
        found = tuple(Health(**values) for values in self.progress.health)  # type: ignore[arg-type]
        device = self.fabric.device
        made_with = provenance(
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            devices=self.fabric.world_size,
            workers=self.workers,
            attempts=self.attempts,
            started=self.started,
            train_images=len(self.split),
        )
        return self.record.model_copy(
            update={
                "status": status,
                "error": error,
                "step": self.progress.step,
                "train_s": self.progress.train_s,
                "parameters": self.parameters,
                "health": found,
                "warnings": tuple(said for one in found if (said := warning(one, self.spec))),
                "card": card_of_pretraining(
                    self.record, dataset=self.dataset.name, parameters=self.parameters, dim=self.dim
                ).to_data(),
                "provenance": made_with,
            }
        )
