"""A pretraining from spec to record: build, resume, train, publish."""

from __future__ import annotations

import json
import math
import os
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from lightning_fabric import Fabric
from torch import Tensor

from segrank.assemble import make_fabric, resolve_device, resolve_precision
from segrank.attempt import LOG, WEIGHTS, Attempt, checkpoints
from segrank.cards.own import card_file
from segrank.data import open_dataset
from segrank.data.dataset import Split
from segrank.errors import SegrankError, SpecError, StoreError, TrainingError
from segrank.files import write_whole
from segrank.pretrain.card import card_of_pretraining
from segrank.pretrain.health import health, warning
from segrank.pretrain.network import build_network
from segrank.pretrain.objectives import OBJECTIVES, Objective
from segrank.pretrain.record import Health, PretrainRecord
from segrank.pretrain.spec import PretrainSpec, identity
from segrank.pretrain.store import PretrainStore
from segrank.pretrain.views import batches_of_views
from segrank.progress import Reporter, Silent
from segrank.provenance import provenance
from segrank.record import Status
from segrank.spec import key_of
from segrank.stop import stop_signals
from segrank.store import DEFAULT_STORE
from segrank.train import checkpoint
from segrank.train.optim import set_lr

HEALTH_CHECKS = 16
"""Times that features are looked at, evenly over the steps; the first is before step 1."""
HEALTH_IMAGES = 32


@dataclass
class _Progress:
    """How far a pretraining has come; a checkpoint holds it."""

    step: int = 0
    train_s: float = 0.0
    health: list[dict[str, float]] = field(default_factory=list)


def pretrain(
    spec: PretrainSpec,
    *,
    name: str = "",
    store: str | os.PathLike[str] = DEFAULT_STORE,
    root: str | os.PathLike[str] | None = None,
    device: str = "auto",
    devices: int = 1,
    workers: int = 0,
    checkpoint_every_s: float = 120.0,
    reporter: Reporter | None = None,
) -> PretrainRecord:
    """Do a pretraining, or go on with one, or find it done.

    Args:
        spec: the pretraining.
        name: what its encoder is called; the objective, unless it is said.
        store: the results folder.
        root, device, devices, workers, checkpoint_every_s, reporter: as `segrank.run`.

    Returns:
        The record: `ok`, or `interrupted` after a signal, in which case the same call goes on.

    Raises:
        SegrankError: it failed; the attempt's record holds the error too.
    """
    device = resolve_device(device)
    precision = resolve_precision(spec.precision, device)
    if spec.batch_size % devices:
        raise SpecError(f"batch_size {spec.batch_size} does not divide among {devices} devices")
    dataset = open_dataset(spec.dataset, root)
    split = dataset.split(spec.split)
    key, results = key_of(identity(spec, split.digest(), precision)), PretrainStore(store)
    if done := results.published(key):
        results.tidy(key)
        found: PretrainRecord = done
        return found
    fabric = make_fabric(device, devices, precision)
    fabric.launch()
    reporter = reporter if reporter is not None and fabric.is_global_zero else Silent()
    attempt = _begin(fabric, results, key, spec, reporter)
    if attempt is None:
        return _published(results, key)
    record = PretrainRecord(
        key=key, name=name or spec.objective, status="failed", spec=spec, precision=precision,
        identity=identity(spec, split.digest(), precision), images=len(split), attempt=attempt.token,
    )  # fmt: skip
    with stop_signals() as stop:
        session = _Session(fabric, record, attempt, split, len(dataset.classes), workers, reporter, stop)
        session.dataset, session.checkpoint_every_s = dataset.name, checkpoint_every_s
        try:
            return session.go()
        except BaseException as error:
            session.fail(error)
            if isinstance(error, OSError):
                raise StoreError(f"pretraining {key} stopped: {error}", fix="the same command goes on") from error
            raise


def _published(results: PretrainStore, key: str) -> PretrainRecord:
    record: PretrainRecord | None = results.published(key)
    assert record is not None
    return record


def _begin(fabric: Fabric, results: PretrainStore, key: str, spec: PretrainSpec, reporter: Reporter) -> Attempt | None:
    """Rank 0 claims it; all ranks get the same attempt, or the same error."""
    attempt: Attempt | None = None
    error: SegrankError | None = None
    if fabric.is_global_zero:
        try:
            attempt = results.begin(key, spec, notify=reporter.say)
        except SegrankError as caught:
            error = caught
    if fabric.world_size > 1:
        token, error = fabric.broadcast((attempt.token if attempt else "", error))
        if token and attempt is None:
            attempt = results.join(key, token)
    if error is not None:
        raise error
    return attempt


class _Session:
    """What the steps of one attempt share."""

    dataset = ""
    checkpoint_every_s = 120.0

    def __init__(
        self,
        fabric: Fabric,
        record: PretrainRecord,
        attempt: Attempt,
        split: Split,
        classes: int,
        workers: int,
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> None:
        self.fabric, self.record, self.attempt, self.split = fabric, record, attempt, split
        self.classes, self.workers, self.reporter, self.stop = classes, workers, reporter, stop
        self.spec = record.spec
        self.progress = _Progress()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.attempts = len(attempt.others) + 1
        self.parameters = self.dim = 0

    def go(self) -> PretrainRecord:
        spec, fabric = self.spec, self.fabric
        network = build_network(spec)
        self.parameters, self.dim = sum(p.numel() for p in network.parameters()), network.dim
        way = OBJECTIVES[spec.objective]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed)
            objective = way.build(spec, network, self.classes)
        if fabric.world_size > 1:
            objective = torch.nn.SyncBatchNorm.convert_sync_batchnorm(objective)  # type: ignore[no-untyped-call]
        optimizer = adamw(objective, lr=spec.lr, weight_decay=spec.weight_decay)
        model, optimizer = fabric.setup(objective, optimizer)
        self._restore(objective, optimizer)
        probe = torch.from_numpy(
            np.stack([self._probe_image(index) for index in range(min(HEALTH_IMAGES, len(self.split)))])
        ).to(fabric.device)
        self.reporter.say(
            f"pretraining {self.record.key}: {spec.objective} on {len(self.split)} images of {self.dataset}, "
            f"{self.parameters / 1e6:.2f} M parameters, {self.record.precision} on {fabric.device}"
        )
        checks = {round(spec.steps * part / HEALTH_CHECKS) for part in range(HEALTH_CHECKS + 1)}
        batches = batches_of_views(
            self.split, way.views(spec), seed=spec.seed, batch_size=spec.batch_size, steps=spec.steps,
            first_step=self.progress.step, rank=fabric.global_rank, ranks=fabric.world_size, workers=self.workers,
        )  # fmt: skip
        self._look(objective, probe, self.progress.step if self.progress.step in checks else None)
        done = self._train(model, optimizer, objective, batches, checks, probe)
        if not done:
            self.reporter.say(f"stopped at step {self.progress.step} of {spec.steps}; the same command goes on there")
            return self._end("interrupted")
        return self._publish(objective)

    def _train(
        self,
        model: Any,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        batches: Iterable[list[Tensor]],
        checks: set[int],
        probe: Tensor,
    ) -> bool:
        spec, fabric, progress = self.spec, self.fabric, self.progress
        model.train()
        saved_at = started = time.monotonic()
        path = self.attempt.folder / LOG if fabric.is_global_zero else Path(os.devnull)
        with path.open("a", encoding="utf-8") as log:
            for views in batches:
                set_lr(optimizer, lr_share(progress.step, spec.steps, spec.warmup))
                draw = np.random.SeedSequence((spec.seed, progress.step, fabric.global_rank)).generate_state(
                    1, np.uint64
                )
                torch.manual_seed(int(draw[0]))
                loss = model(fabric.to_device(views))
                fabric.backward(loss)
                fabric.clip_gradients(model, optimizer, max_norm=spec.clip, error_if_nonfinite=False)
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise TrainingError(f"the loss is {value} at step {progress.step + 1}", fix="lower lr")
                optimizer.step()
                optimizer.zero_grad()
                progress.step += 1
                objective.after_step(progress.step)
                now = time.monotonic()
                progress.train_s += now - started
                self.attempt.claim.state.update(step=progress.step, steps=spec.steps)
                lr = optimizer.param_groups[0]["lr"]
                log.write(json.dumps({"step": progress.step, "loss": value, "lr": lr}) + "\n")
                self.reporter.advance(self.record.name, progress.step, spec.steps, f"loss {value:.3f}")
                if progress.step in checks:
                    self._look(objective, probe, progress.step)
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

    def _probe_image(self, index: int) -> np.ndarray:
        """Its middle, at the crop's size, by nearest: what is compared are the features of one step with another's."""
        image = self.split[index * len(self.split) // min(HEALTH_IMAGES, len(self.split))].image
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        places = (np.arange(self.spec.crop[0]) * side // self.spec.crop[0]).astype(np.int64)
        return np.ascontiguousarray(image[top + places][:, left + places].transpose(2, 0, 1))

    def _look(self, objective: Objective, probe: Tensor, step: int | None) -> None:
        if step is None or any(found["step"] == step for found in self.progress.health):
            return
        found = health(objective.learnt, probe, step)
        self.progress.health.append(found.model_dump())
        if step and (said := warning(found, self.spec.objective)):
            self.reporter.say(f"warning: {said}")

    def _checkpoint(self, objective: Objective, optimizer: torch.optim.Optimizer) -> None:
        if self.fabric.is_global_zero:
            self.attempt.check()
            state = {
                "model": objective.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scaler": self.fabric.strategy.precision.state_dict(),
                "progress": vars(self.progress),
                "started": self.started,
            }
            checkpoint.save(self.attempt.folder, self.progress.step, state)

    def _restore(self, objective: Objective, optimizer: torch.optim.Optimizer) -> None:
        """Go on from the newest intact checkpoint of earlier attempts; all ranks from the same one."""
        fabric, attempt = self.fabric, self.attempt
        paths = checkpoints(attempt.others) if fabric.is_global_zero else []
        intact = next(((path, state) for path in paths if (state := checkpoint.load(path)) is not None), None)
        if paths and intact is None:
            raise StoreError(
                f"all {len(paths)} checkpoints in {attempt.folder.parent} are damaged",
                fix="restore one, or remove that folder to start from step 0",
            )
        state = fabric.broadcast(intact[1] if intact else None) if fabric.world_size > 1 else intact and intact[1]
        if state:
            objective.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            fabric.strategy.precision.load_state_dict(state["scaler"])
            self.progress, self.started = _Progress(**state["progress"]), state["started"]
            self.reporter.say(f"going on from step {self.progress.step} of {self.spec.steps}")
        if intact and fabric.is_global_zero:
            attempt.inherit(intact[0].parent, step=self.progress.step)
            before = [path for path in checkpoints([intact[0].parent]) if path.name < intact[0].name]
            for path in (intact[0], *before[:1]):
                checkpoint.move(path, attempt.folder)
            attempt.clear_others()

    def _publish(self, objective: Objective) -> PretrainRecord:
        if self.fabric.is_global_zero:
            self.attempt.check()
            tensors = {
                name: value.detach().cpu().contiguous() for name, value in objective.learnt.vit.state_dict().items()
            }
            write_whole(self.attempt.folder / WEIGHTS, safetensors.torch.save(tensors))
            record = self._record("ok")
            card = card_file(self.attempt.store.run_folder(record.key) / WEIGHTS)
            write_whole(card, json.dumps(record.card, indent=1) + "\n")
            self.attempt.publish(record)  # type: ignore[arg-type]
        self.fabric.barrier()
        return _published(PretrainStore(self.attempt.store.folder), self.record.key)

    def fail(self, error: BaseException) -> None:
        """Leave the error in a record, if the disk still takes one. Raises nothing."""
        interrupted = isinstance(error, KeyboardInterrupt)
        frames = "".join(traceback.format_tb(error.__traceback__)[-4:])
        try:
            self._end("interrupted" if interrupted else "failed", f"{type(error).__name__}: {error}\n{frames}")
        except Exception as another:
            self.reporter.say(f"the error could not be kept: {another}")

    def _end(self, status: Status, error: str = "") -> PretrainRecord:
        record = self._record(status, "" if status == "interrupted" else error)
        if self.fabric.is_global_zero:
            try:
                self.attempt.give_up(record)  # type: ignore[arg-type]
            finally:
                self.attempt.claim.release()
        return record

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
                "warnings": tuple(said for one in found if one.step and (said := warning(one, self.spec.objective))),
                "card": card_of_pretraining(
                    self.record, dataset=self.dataset, parameters=self.parameters, dim=self.dim
                ).to_data(),
                "provenance": made_with,
            }
        )


def lr_share(step: int, steps: int, warmup: float) -> float:
    """Share of the largest learning rate at optimiser step `step` of `steps`, counted from 0: a linear rise over the
    first `warmup` of them, then a cosine to 0."""
    rise = warmup * steps
    if step < rise:
        return (step + 1) / math.ceil(rise)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def adamw(objective: Objective, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Weight decay on matrices alone: not on norms, biases, tokens and positions."""
    trained = [(name, p) for name, p in objective.named_parameters() if p.requires_grad]
    decayed = [p for name, p in trained if p.ndim > 1 and "token" not in name and "pos_embed" not in name]
    chosen = {id(p) for p in decayed}
    others = [p for _, p in trained if id(p) not in chosen]
    groups = [
        {"params": parameters, "weight_decay": decay, "lr": lr, "initial_lr": lr}
        for parameters, decay in ((decayed, weight_decay), (others, 0.0))
    ]
    return torch.optim.AdamW(groups, fused=True)
