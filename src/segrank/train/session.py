"""One attempt at a run: build, resume, train, evaluate, publish."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import safetensors.torch
import torch
from lightning_fabric import Fabric

from segrank.assemble import build_segmenter
from segrank.attempt import WEIGHTS, Attempt
from segrank.data.dataset import Split
from segrank.data.loader import training_batches
from segrank.errors import EncoderError
from segrank.evaluate.along_the_way import images_along_the_way, steps_along_the_way
from segrank.evaluate.score import plan_evaluation, score
from segrank.files import write_whole
from segrank.inputs import Data
from segrank.progress import Reporter
from segrank.provenance import provenance
from segrank.record import Cost, Record, Status, WeightsReport
from segrank.stop import Stopped
from segrank.train import checkpoint
from segrank.train.cost import count_shapes, peak_device_gib, peak_host_gib
from segrank.train.loop import Progress, train
from segrank.train.micro_batch import usual_micro_batch
from segrank.train.one_attempt import OneAttempt
from segrank.train.optim import adamw
from segrank.train.resume import capture, restore
from segrank.train.segmenter import Segmenter
from segrank.train.step_clock import step_clock
from segrank.train.training_images import training_images


@dataclass(frozen=True)
class How:
    """How to run, as opposed to what: see `segrank.run`."""

    workers: int
    micro_batch: int | None
    checkpoint_every_s: float
    keep_weights: bool


class Session(OneAttempt[Record]):
    """One attempt at a run."""

    def __init__(
        self,
        fabric: Fabric,
        record: Record,
        attempt: Attempt,
        data: Data,
        how: How,
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> None:
        super().__init__(fabric, attempt)
        self.record, self.data, self.how, self.reporter, self.stop = record, data, how, reporter, stop
        self.spec = spec = record.spec
        self.share = spec.batch_size // fabric.world_size
        usual = usual_micro_batch(self.share, spec.crop, fabric.device.type)
        self.progress = Progress(micro_batch=min(how.micro_batch or usual, self.share))
        self.weights = WeightsReport()
        self.cost = Cost()
        self.training: Split | None = None
        """The images to train on, once they are drawn."""
        self.eval_digest = data.eval_split.digest()

    def go(self) -> Record:
        spec, fabric, data = self.spec, self.fabric, self.data
        segmenter, self.weights = build_segmenter(spec, len(data.dataset.classes))
        self.reporter.say(
            f"run {self.record.key}: {spec.encoder} on {data.dataset.name}, {len(data.train_split)} training images, "
            f"{len(data.eval_split)} to score on, {self.record.precision} on {fabric.device}"
        )
        self.reporter.say(_describe(self.weights))
        self._count(segmenter)
        optimizer = adamw(
            segmenter,
            lr=spec.lr,
            # adapters begin at nothing, as a decoder does: there is nothing in them that a high rate would spoil
            encoder_lr_multiplier=1.0 if spec.lora_rank else spec.encoder_lr_multiplier,
            weight_decay=spec.weight_decay,
        )
        model, optimizer = fabric.setup(segmenter, optimizer)
        if resumed := restore(fabric, self.attempt, segmenter, optimizer, self.reporter.say):
            saved, self.started = Progress(**resumed[0]), resumed[1]
            self.progress = replace(saved, micro_batch=min(self.how.micro_batch or saved.micro_batch, self.share))
            self.reporter.say(f"going on from step {self.progress.step} of {spec.steps}")
        if fabric.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(fabric.device)

        with self._open_log() as log, step_clock(segmenter.encoder, fabric.device) as clock:

            def on_step(step: int, loss: float, lr: float) -> None:
                self.attempt.claim.state.update(step=step, steps=spec.steps)
                log.write(json.dumps({"step": step, "loss": loss, "lr": lr}) + "\n")
                self.reporter.advance("train", step, spec.steps, f"loss {loss:.3f}")

            def on_checkpoint() -> None:
                if fabric.is_global_zero:
                    self.attempt.check()
                    log.flush()
                    os.fsync(log.fileno())
                    state = capture(fabric, segmenter, optimizer, asdict(self._measured()), self.started)
                    checkpoint.save(self.attempt.folder, self.progress.step, state)

            def on_evaluate(step: int) -> None:
                self._evaluate(segmenter, step)

            try:
                self.training = training_images(fabric, spec, data, self.reporter, self.stop)
                done = train(
                    fabric,
                    model,
                    optimizer,
                    training_batches(
                        self.training,
                        crop=spec.crop,
                        seed=spec.seed,
                        batch_size=spec.batch_size,
                        steps=spec.steps,
                        first_step=self.progress.step,
                        rank=fabric.global_rank,
                        ranks=fabric.world_size,
                        workers=self.how.workers,
                        pin_memory=fabric.device.type == "cuda",
                    ),
                    self.progress,
                    clock,
                    steps=spec.steps,
                    poly_power=spec.poly_power,
                    seed=spec.seed,
                    evaluate_at=steps_along_the_way(spec.steps),
                    checkpoint_every_s=self.how.checkpoint_every_s,
                    on_step=on_step,
                    on_evaluate=on_evaluate,
                    on_checkpoint=on_checkpoint,
                    stop=self.stop,
                )
                if done:
                    self._evaluate(segmenter, spec.steps)
                    return self._publish(segmenter)
            except Stopped:
                pass
        self.reporter.say(f"stopped at step {self.progress.step} of {spec.steps}; the same command goes on from there")
        record = self._end("interrupted")
        fabric.barrier()
        return record

    def _count(self, segmenter: Segmenter) -> None:
        shapes = count_shapes(segmenter, self.spec.crop)
        if shapes.without_gradient:
            some = ", ".join(shapes.without_gradient[:3])
            if self.fabric.world_size > 1:
                raise EncoderError(
                    f"the loss does not depend on {len(shapes.without_gradient)} parameters: {some}",
                    wanted="a gradient for every trainable parameter; DDP would wait for it",
                    fix="leave them out of the encoder, or set requires_grad=False on them",
                )
            self.reporter.say(f"the loss does not depend on {len(shapes.without_gradient)} parameters: {some}")
        self.cost = Cost(
            encoder_parameters=sum(p.numel() for p in segmenter.encoder.parameters()),
            decoder_parameters=sum(p.numel() for p in segmenter.decoder.parameters()),
            trained_parameters=sum(p.numel() for p in segmenter.parameters() if p.requires_grad),
            forward_flops=shapes.forward_flops,
            train_flops=shapes.train_flops,
        )

    def _evaluate(self, segmenter: Segmenter, step: int) -> None:
        """Along the way, or at the end; unless an earlier attempt has done it."""
        spec, data, final = self.spec, self.data, step == self.spec.steps
        plan = plan_evaluation(
            run=self.record.key,
            dataset=spec.eval_dataset or spec.dataset,
            digest=self.eval_digest,
            split=spec.eval_split,
            precision=spec.score_precision if final else self.record.precision,
            step=step,
            indices=None if final else images_along_the_way(len(data.eval_split)),
        )
        if final:
            self.record = self.record.model_copy(update={"final": plan.key})
        if plan.key in {evaluation.key for evaluation in self.attempt.evaluations()}:
            return
        evaluation, counts, predictions = score(
            self.fabric,
            segmenter,
            data.eval_split,
            plan,
            classes=data.dataset.classes,
            crop=spec.crop,
            on_image=self.reporter.advance,
            stop=self.stop,
        )
        self.reporter.say(
            f"step {step}: mIoU {100 * evaluation.scores.miou:.2f} on {evaluation.images} images of {spec.eval_split}"
        )
        if self.fabric.is_global_zero:
            self.attempt.add_evaluation(evaluation, counts, predictions)

    def _publish(self, segmenter: Segmenter) -> Record:
        if self.fabric.is_global_zero:
            self.attempt.check()
            if self.how.keep_weights:
                # copies: safetensors refuses tensors that share memory, such as tied weights
                tensors = {name: value.detach().cpu().clone() for name, value in segmenter.state_dict().items()}
                write_whole(self.attempt.folder / WEIGHTS, safetensors.torch.save(tensors))
            self.attempt.publish(self._record("ok"))
        self.fabric.barrier()
        record = self.attempt.store.published(self.record.key)
        assert record is not None
        return record

    def _record(self, status: Status, error: str = "") -> Record:
        progress, device = self._measured(), self.fabric.device
        busy_s = progress.train_s + progress.data_wait_s
        evaluations = self.attempt.evaluations()
        cost = {
            **asdict(progress),
            "evaluation_s": sum(evaluation.seconds for evaluation in evaluations),
            "images_per_s": progress.step * self.spec.batch_size / busy_s if busy_s else None,
        }
        made_with = provenance(
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            devices=self.fabric.world_size,
            workers=self.how.workers,
            attempts=self.attempts,
            started=self.started,
            weights=self.weights,
            train_images=len(self.training) if self.training else None,
        )
        step = cost.pop("step")
        changes = {"status": status, "error": error, "step": step, "provenance": made_with}
        total = self.cost.model_copy(update=cost)
        seconds, bound = max((seconds, part) for part, seconds in total.parts().items())
        return self.record.model_copy(
            update={**changes, "cost": total.model_copy(update={"bounded_by": bound if seconds else None})}
        )

    def _measured(self) -> Progress:
        """Progress with the peaks of this attempt; those of earlier ones are in it."""
        host, device = peak_host_gib(), peak_device_gib(self.fabric.device)
        self.progress.peak_host_gib = max(self.progress.peak_host_gib, host)
        if device is not None:
            self.progress.peak_device_gib = max(self.progress.peak_device_gib or 0.0, device)
        return self.progress


def _describe(weights: WeightsReport) -> str:
    if weights.source in ("random", "as built"):
        return f"weights: {weights.source}"
    return (
        f"weights {weights.source}: {weights.loaded} loaded, {len(weights.resampled)} of them resampled, "
        f"{len(weights.unexpected)} of the file's not used"
    )
