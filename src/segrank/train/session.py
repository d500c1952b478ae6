"""One attempt at a run: build, resume, train, evaluate, publish."""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import safetensors.torch
import torch
from lightning_fabric import Fabric

from segrank.assemble import build_segmenter
from segrank.data import open_dataset
from segrank.data.dataset import Dataset
from segrank.data.loader import training_batches
from segrank.evaluate.score import score, steps_along_the_way
from segrank.files import whole_file
from segrank.progress import Reporter
from segrank.provenance import provenance
from segrank.record import Cost, Record, Status, WeightsReport
from segrank.store import LOG, WEIGHTS, Attempt
from segrank.train import checkpoint
from segrank.train.flops import count_flops
from segrank.train.loop import Progress, train
from segrank.train.optim import adamw
from segrank.train.segmenter import Segmenter

CPU_PIXELS = 2**19
"""In a micro-batch on a CPU: more of them only cost memory."""


class Stopped(Exception):  # noqa: N818  not an error
    """Asked to stop, in the middle of an evaluation."""


class Session:
    """What the steps of one attempt share. All ranks have one; rank 0 alone writes."""

    def __init__(
        self,
        fabric: Fabric,
        record: Record,
        attempt: Attempt,
        reporter: Reporter,
        stop: Callable[[], bool],
        *,
        workers: int,
        micro_batch: int | None,
        checkpoint_every_s: float,
        keep_weights: bool,
    ) -> None:
        self.fabric, self.record, self.attempt = fabric, record, attempt
        self.reporter, self.stop, self.workers = reporter, stop, workers
        self.checkpoint_every_s, self.keep_weights = checkpoint_every_s, keep_weights
        self.spec = spec = record.spec
        share = spec.batch_size // fabric.world_size
        on_cpu = fabric.device.type == "cpu"
        fits = max(1, CPU_PIXELS // (spec.crop[0] * spec.crop[1])) if on_cpu else share
        self.progress = Progress(micro_batch=min(micro_batch or fits, share))
        self.weights = WeightsReport()
        self.cost = Cost()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.attempts = 1

    def go(self) -> Record:
        """From wherever earlier attempts came to, to the end or to a stop."""
        spec, fabric = self.spec, self.fabric
        dataset = open_dataset(spec.dataset)
        eval_dataset = open_dataset(spec.eval_dataset) if spec.eval_dataset else dataset
        train_split, eval_split = dataset.split(spec.train_split), eval_dataset.split(spec.eval_split)
        segmenter, self.weights = build_segmenter(spec, len(dataset.classes))
        self.reporter.say(
            f"run {self.record.key}: {spec.encoder} on {dataset.name}, {len(train_split)} training images, "
            f"{len(eval_split)} to score on, {self.record.precision} on {fabric.device}"
        )
        self.reporter.say(_describe(self.weights))
        self.cost = _static_cost(segmenter, spec.crop)
        optimizer = adamw(
            segmenter,
            lr=spec.lr,
            encoder_lr_multiplier=spec.encoder_lr_multiplier,
            weight_decay=spec.weight_decay,
        )
        model, optimizer = fabric.setup(segmenter, optimizer)
        self._resume(segmenter, optimizer)
        if fabric.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(fabric.device)

        with self._open_log() as log:

            def on_step(step: int, loss: float, lr: float) -> None:
                self.attempt.claim.state.update(step=step, steps=spec.steps)
                log.write(json.dumps({"step": step, "loss": loss, "lr": lr}) + "\n")
                self._advance("train", step, spec.steps, f"loss {loss:.3f}")

            def on_checkpoint() -> None:
                if fabric.is_global_zero:
                    self.attempt.claim.check()
                    log.flush()
                    os.fsync(log.fileno())
                    state = self._state(segmenter, optimizer)
                    checkpoint.save(self.attempt.folder, self.progress.step, state)

            def on_evaluate(step: int) -> None:
                self._evaluate(segmenter, eval_dataset, dataset.classes, step)

            try:
                train(
                    fabric,
                    model,
                    optimizer,
                    training_batches(
                        train_split,
                        crop=spec.crop,
                        seed=spec.seed,
                        batch_size=spec.batch_size,
                        steps=spec.steps,
                        first_step=self.progress.step,
                        rank=fabric.global_rank,
                        ranks=fabric.world_size,
                        workers=self.workers,
                        pin_memory=fabric.device.type == "cuda",
                    ),
                    self.progress,
                    steps=spec.steps,
                    poly_power=spec.poly_power,
                    seed=spec.seed,
                    evaluate_at=steps_along_the_way(spec.steps),
                    checkpoint_every_s=self.checkpoint_every_s,
                    on_step=on_step,
                    on_evaluate=on_evaluate,
                    on_checkpoint=on_checkpoint,
                    stop=self.stop,
                )
                if self.progress.step == spec.steps:
                    self._evaluate(segmenter, eval_dataset, dataset.classes, spec.steps)
                    return self._publish(segmenter)
            except Stopped:
                pass
        return self.end("interrupted")

    def end(self, status: Status, error: BaseException | None = None) -> Record:
        """Leave what is known of an attempt that does not publish, and let the run go."""
        text = ""
        if error is not None:
            frames = "".join(traceback.format_tb(error.__traceback__)[-4:])
            text = f"{type(error).__name__}: {error}\n{frames}"
        record = self._record(status, text)
        if self.fabric.is_global_zero:
            self.attempt.give_up(record)
        return record

    def _evaluate(self, segmenter: Segmenter, dataset: Dataset, classes: tuple[str, ...], step: int) -> None:
        """Along the way, or at the end; unless an earlier attempt has done it."""
        spec, final = self.spec, step == self.spec.steps
        if not final and step in {evaluation.step for evaluation in self.attempt.evaluations()}:
            return

        def on_image(work: str, done: int, total: int) -> None:
            self._advance(work, done, total)
            # ranks would stop at different images, and wait for one another
            if self.fabric.world_size == 1 and self.stop():
                raise Stopped

        evaluation, counts = score(
            self.fabric,
            segmenter,
            dataset,
            run=self.record.key,
            dataset_name=spec.eval_dataset or spec.dataset,
            split_name=spec.eval_split,
            classes=classes,
            crop=spec.crop,
            precision=spec.score_precision if final else self.record.precision,
            step=step,
            final=final,
            on_image=on_image,
        )
        self.reporter.say(
            f"step {step}: mIoU {100 * evaluation.scores.miou:.2f} on {evaluation.images} images of {spec.eval_split}"
        )
        if final:
            self.record = self.record.model_copy(update={"final": evaluation.key})
        if self.fabric.is_global_zero:
            self.attempt.add_evaluation(evaluation, counts)

    def _publish(self, segmenter: Segmenter) -> Record:
        if self.fabric.is_global_zero:
            self.attempt.claim.check()
            if self.keep_weights:
                tensors = {name: value.contiguous() for name, value in segmenter.state_dict().items()}
                with whole_file(self.attempt.folder / WEIGHTS) as file:
                    file.write(safetensors.torch.save(tensors))
            self.attempt.publish(self._record("ok"))
        self.fabric.barrier()
        record = self.attempt.store.record(self.record.key)
        assert record is not None
        return record

    def _record(self, status: Status, error: str = "") -> Record:
        progress, device = self.progress, self.fabric.device
        busy_s = progress.train_s + progress.data_wait_s
        on_gpu = device.type == "cuda"
        # kilobytes on Linux, bytes on macOS
        to_gib = 2**30 if sys.platform == "darwin" else 2**20
        cost = {
            "train_s": progress.train_s,
            "data_wait_s": progress.data_wait_s,
            "evaluation_s": sum(evaluation.seconds for evaluation in self.attempt.evaluations()),
            "images_per_s": progress.step * self.spec.batch_size / busy_s if busy_s else None,
            "peak_host_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / to_gib,
            "peak_device_gib": torch.cuda.max_memory_allocated(device) / 2**30 if on_gpu else None,
            "micro_batch": progress.micro_batch,
        }
        made_with = provenance(
            device=torch.cuda.get_device_name(device) if on_gpu else "cpu",
            devices=self.fabric.world_size,
            workers=self.workers,
            attempts=self.attempts,
            started=self.started,
            weights=self.weights,
        )
        return self.record.model_copy(
            update={
                "status": status,
                "error": error,
                "step": progress.step,
                "cost": self.cost.model_copy(update=cost),
                "provenance": made_with,
            }
        )

    def _advance(self, work: str, done: int, total: int, note: str = "") -> None:
        if self.fabric.is_global_zero:
            self.reporter.advance(work, done, total, note)

    def _open_log(self) -> TextIO:
        """The step log, at its end: `_resume` has put the earlier lines there."""
        path = self.attempt.folder / LOG if self.fabric.is_global_zero else Path(os.devnull)
        return path.open("a", encoding="utf-8")

    def _state(self, segmenter: Segmenter, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """What a checkpoint holds. A frozen encoder is not in it: building the run again gives it back."""
        return {
            "key": self.record.key,
            "model": _trained(segmenter).state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": self.fabric.strategy.precision.state_dict(),
            "progress": asdict(self.progress),
            "started": self.started,
            "attempts": self.attempts,
        }

    def _resume(self, segmenter: Segmenter, optimizer: torch.optim.Optimizer) -> None:
        """Go on from the newest intact checkpoint of earlier attempts, if there is one."""
        earlier = self.attempt.others
        for path in checkpoint.newest_first(earlier):
            state = checkpoint.load(path)
            if state is None or state["key"] != self.record.key:
                self.reporter.say(f"{path.name} is damaged; going back to the one before")
                continue
            _trained(segmenter).load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            self.fabric.strategy.precision.load_state_dict(state["scaler"])
            self.progress = Progress(**state["progress"])
            self.started, self.attempts = state["started"], state["attempts"] + 1
            self.fabric.barrier()  # all ranks have read it
            if self.fabric.is_global_zero:
                self.attempt.inherit(path.parent, step=self.progress.step)
                checkpoint.move(path, self.attempt.folder)
                for other in checkpoint.newest_first(earlier):
                    checkpoint.remove(other)
            self.fabric.barrier()  # and see the same evaluations behind them
            self.reporter.say(f"going on from step {self.progress.step} of {self.spec.steps}")
            return


def _trained(segmenter: Segmenter) -> torch.nn.Module:
    return segmenter.decoder if segmenter.freeze else segmenter


def _static_cost(segmenter: Segmenter, crop: tuple[int, int]) -> Cost:
    forward, training = count_flops(segmenter, crop)
    return Cost(
        encoder_parameters=sum(p.numel() for p in segmenter.encoder.parameters()),
        decoder_parameters=sum(p.numel() for p in segmenter.decoder.parameters()),
        trained_parameters=sum(p.numel() for p in segmenter.parameters() if p.requires_grad),
        forward_flops=forward,
        train_flops=training,
    )


def _describe(weights: WeightsReport) -> str:
    if weights.source in ("random", "as built"):
        return f"weights: {weights.source}"
    return (
        f"weights {weights.source}: {weights.loaded} loaded, {len(weights.resampled)} of them resampled, "
        f"{len(weights.unexpected)} of the file's not used"
    )
