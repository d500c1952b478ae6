"""The composition root: a spec becomes a record."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import safetensors.torch
import torch
from lightning_fabric import Fabric

from segrank.assemble import build_segmenter, identify, make_fabric, resolve_device, resolve_precision
from segrank.data import open_dataset
from segrank.data.loader import training_batches
from segrank.errors import SegrankError, SpecError, StoreError
from segrank.evaluate.score import evaluation_key, score, steps_along_the_way
from segrank.files import whole_file
from segrank.progress import Reporter, Silent
from segrank.provenance import provenance
from segrank.record import Cost, Record, Status, WeightsReport
from segrank.rescore import evaluate_run
from segrank.spec import Precision, RunSpec, key_of
from segrank.store import LOG, WEIGHTS, Attempt, Store
from segrank.train import checkpoint
from segrank.train.flops import count_flops
from segrank.train.loop import Progress, train
from segrank.train.optim import adamw
from segrank.train.segmenter import Segmenter

DEFAULT_STORE = "segrank-store"
CPU_PIXELS = 2**19
"""In a micro-batch on a CPU: more of them only cost memory."""


def run(
    spec: RunSpec,
    *,
    store: str | os.PathLike[str] = DEFAULT_STORE,
    device: str = "auto",
    devices: int = 1,
    workers: int | None = None,
    micro_batch: int | None = None,
    checkpoint_every_s: float = 300.0,
    keep_weights: bool = True,
    reporter: Reporter | None = None,
) -> Record:
    """Do a run, or go on with one, or find it done.

    Everything but the spec says how to run, not what: it changes no key and no meaning.

    Args:
        spec: the run.
        store: the results folder.
        device: `auto`, `cpu` or `cuda`.
        devices: how many; several run DDP, one process each.
        workers: processes that read and augment; by default none on a CPU, else up to 8 a GPU.
        micro_batch: images per forward pass on one device; halved when memory runs out.
        checkpoint_every_s: at most this much work is lost when the process dies.
        keep_weights: without them a run cannot be evaluated again.
        reporter: where progress goes; nowhere by default.

    Returns:
        The record: `ok`, or `interrupted` after a signal, in which case the same call goes on.

    Raises:
        SegrankError: the run failed; the attempt's record holds the error too.
    """
    reporter = reporter or Silent()
    device = resolve_device(device)
    precision = resolve_precision(spec, device)
    if spec.batch_size % devices:
        raise SpecError(f"batch_size {spec.batch_size} does not divide among {devices} devices")
    dataset = open_dataset(spec.dataset)
    identity = identify(spec, dataset.split(spec.train_split), precision)
    key, results = key_of(identity), Store(store)

    fabric = make_fabric(device, devices, precision)
    fabric.launch()
    record = results.record(key)
    if record is not None and record.status == "ok":
        return _with_evaluation(record, spec, results, device, reporter)

    attempt = _begin(fabric, results, key, spec, reporter)
    record = Record(
        key=key, status="failed", spec=spec, identity=identity, precision=precision, attempt=attempt.token
    )
    worker = _Run(fabric, record, attempt, reporter, workers, micro_batch, checkpoint_every_s, keep_weights)
    with _stop_signals(reporter) as stop:
        try:
            return worker.go(stop)
        except BaseException as error:
            if fabric.is_global_zero:
                worker.give_up(error)
            if isinstance(error, OSError):
                raise StoreError(
                    f"run {key} stopped: {error}", fix="mend that; the same command goes on"
                ) from error
            raise


class _Run:
    """What the steps of one attempt share."""

    def __init__(
        self,
        fabric: Fabric,
        record: Record,
        attempt: Attempt,
        reporter: Reporter,
        workers: int | None,
        micro_batch: int | None,
        checkpoint_every_s: float,
        keep_weights: bool,
    ) -> None:
        self.fabric, self.record, self.attempt, self.reporter = fabric, record, attempt, reporter
        self.spec = record.spec
        self.checkpoint_every_s, self.keep_weights = checkpoint_every_s, keep_weights
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        on_cpu = fabric.device.type == "cpu"
        self.workers = (0 if on_cpu else min(8, cpus // fabric.world_size)) if workers is None else workers
        share = self.spec.batch_size // fabric.world_size
        fits = max(1, CPU_PIXELS // (self.spec.crop[0] * self.spec.crop[1])) if on_cpu else share
        self.progress = Progress(micro_batch=min(micro_batch or fits, share))
        self.weights = WeightsReport()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.attempts = 1
        self.cost = Cost()

    def go(self, stop: Callable[[], bool]) -> Record:
        spec, fabric, say = self.spec, self.fabric, self.reporter.say
        dataset = open_dataset(spec.dataset)
        eval_dataset = open_dataset(spec.eval_dataset) if spec.eval_dataset else dataset
        train_split, eval_split = dataset.split(spec.train_split), eval_dataset.split(spec.eval_split)
        segmenter, self.weights = build_segmenter(spec, len(dataset.classes))
        say(
            f"run {self.record.key}: {spec.encoder} on {dataset.name}, {len(train_split)} training images, "
            f"{len(eval_split)} to score on, {self.record.precision} on {fabric.device}"
        )
        say(_describe(self.weights))
        self.cost = _static_cost(segmenter, spec.crop)
        optimizer = adamw(
            segmenter,
            lr=spec.lr,
            encoder_lr_multiplier=spec.encoder_lr_multiplier,
            weight_decay=spec.weight_decay,
        )
        model, optimizer = fabric.setup(segmenter, optimizer)
        log_lines = self._resume(segmenter, optimizer)
        if fabric.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(fabric.device)

        def on_evaluate(step: int, final: bool = False) -> None:
            evaluation, counts = score(
                fabric,
                segmenter,
                eval_dataset,
                run=self.record.key,
                dataset_name=spec.eval_dataset or spec.dataset,
                split_name=spec.eval_split,
                classes=dataset.classes,
                crop=spec.crop,
                precision=spec.score_precision if final else self.record.precision,
                step=step,
                final=final,
                reporter=self.reporter,
            )
            self.progress.evaluation_s += evaluation.seconds
            say(f"step {step}: mIoU {100 * evaluation.scores.miou:.2f} on {evaluation.images} images")
            if final:
                self.record = self.record.model_copy(update={"final": evaluation.key})
            if fabric.is_global_zero:
                self.attempt.add_evaluation(evaluation, counts)

        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self._log(log_lines)) if fabric.is_global_zero else None

            def on_step(step: int, loss: float, lr: float) -> None:
                self.attempt.claim.state.update(step=step, steps=spec.steps)
                if log is not None:
                    log.write(json.dumps({"step": step, "loss": loss, "lr": lr}) + "\n")
                    self.reporter.advance("train", step, spec.steps, f"loss {loss:.3f}")

            def on_checkpoint() -> None:
                if log is not None:
                    self.attempt.claim.check()
                    log.flush()
                    os.fsync(log.fileno())
                    checkpoint.save(
                        self.attempt.folder, self.progress.step, self._state(segmenter, optimizer)
                    )

            done = self.progress.step == spec.steps or train(
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
                stop=stop,
            )
        if not done:
            record = self._record("interrupted")
            if fabric.is_global_zero:
                self.attempt.give_up(record)
            return record
        on_evaluate(spec.steps, final=True)
        return self._publish(segmenter)

    def give_up(self, error: BaseException) -> None:
        """Leave what is known of an attempt that ended early; a full disk may not even take that."""
        interrupted = isinstance(error, KeyboardInterrupt)
        text = "" if interrupted else f"{type(error).__name__}: {error}\n{_last_frames(error)}"
        with contextlib.suppress(OSError):
            self.attempt.give_up(self._record("interrupted" if interrupted else "failed", text))

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
        measured = {
            **asdict(progress),
            "images_per_s": progress.step * self.spec.batch_size / busy_s if busy_s else None,
            # kilobytes on Linux, bytes on macOS
            "peak_host_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            / (2**20 if sys.platform != "darwin" else 2**30),
            "peak_device_gib": torch.cuda.max_memory_allocated(device) / 2**30 if on_gpu else None,
        }
        step = measured.pop("step")
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
                "step": step,
                "cost": self.cost.model_copy(update=measured),
                "provenance": made_with,
            }
        )

    def _log(self, lines: int) -> TextIO:
        """The step log, at its end. `_resume` has put the earlier lines there."""
        path = self.attempt.folder / LOG
        assert lines == 0 or path.read_bytes().count(b"\n") == lines
        return path.open("a", encoding="utf-8")

    def _state(self, segmenter: Segmenter, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """What a checkpoint holds. A frozen encoder is not in it: building the run again gives it back."""
        model = segmenter.decoder if self.spec.freeze else segmenter
        return {
            "key": self.record.key,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": self.fabric.strategy.precision.state_dict(),
            "progress": asdict(self.progress),
            "started": self.started,
            "attempts": self.attempts,
        }

    def _resume(self, segmenter: Segmenter, optimizer: torch.optim.Optimizer) -> int:
        """Go on from the newest intact checkpoint of earlier attempts. Returns the lines of the log so far."""
        earlier = self.attempt.others
        for path in checkpoint.newest_first(earlier):
            state = checkpoint.load(path)
            if state is None or state["key"] != self.record.key:
                self.reporter.say(f"{path.name} is damaged; going back to the one before")
                continue
            (segmenter.decoder if self.spec.freeze else segmenter).load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            self.fabric.strategy.precision.load_state_dict(state["scaler"])
            self.progress = Progress(**state["progress"])
            self.started, self.attempts = state["started"], state["attempts"] + 1
            self.fabric.barrier()  # all ranks have read it
            if self.fabric.is_global_zero:
                self.attempt.inherit(path.parent, log_lines=self.progress.step, step=self.progress.step)
                checkpoint.move(path, self.attempt.folder)
                for other in checkpoint.newest_first(earlier):
                    checkpoint.remove(other)
            self.reporter.say(f"going on from step {self.progress.step} of {self.spec.steps}")
            return self.progress.step
        return 0


def _begin(fabric: Fabric, store: Store, key: str, spec: RunSpec, reporter: Reporter) -> Attempt:
    """Rank 0 claims the run; all ranks get the same attempt, or the same error."""
    attempt: Attempt | None = None
    error: SegrankError | None = None
    if fabric.is_global_zero:
        try:
            attempt = store.begin(key, spec, notify=reporter.say)
        except SegrankError as caught:
            error = caught
    if fabric.world_size > 1:
        token, error = fabric.broadcast((attempt.token if attempt else "", error))
        if error is None and attempt is None:
            attempt = store.join(key, token)
    if attempt is None:
        assert error is not None
        raise error
    return attempt


def _with_evaluation(record: Record, spec: RunSpec, store: Store, device: str, reporter: Reporter) -> Record:
    """The finished run with the evaluation that this spec asks for, made now if nobody asked before."""
    name = spec.eval_dataset or spec.dataset
    split = open_dataset(name).split(spec.eval_split)
    key = evaluation_key(record.key, split.digest(), spec.eval_split, spec.score_precision, record.step, None)
    if key not in {evaluation.key for evaluation in record.evaluations}:
        evaluation = evaluate_run(
            store,
            record,
            dataset=name,
            split=spec.eval_split,
            precision=spec.score_precision,
            device=device,
            reporter=reporter,
        )
        record = record.model_copy(update={"evaluations": (*record.evaluations, evaluation)})
    return record.model_copy(update={"spec": spec, "final": key})


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
    return (
        f"weights {weights.source}: {weights.loaded} loaded, {len(weights.resampled)} of them resampled, "
        f"{len(weights.missing)} missing, {len(weights.unexpected)} unexpected"
        if weights.source != "random"
        else "weights: random"
    )


def _last_frames(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__)[-4:])


@contextlib.contextmanager
def _stop_signals(reporter: Reporter) -> Iterator[Callable[[], bool]]:
    """The first SIGINT or SIGTERM asks for a stop after the step; a second SIGINT stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def handle(number: int, _: object) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()
        reporter.say("stopping after this step; the same command will go on from there")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
