"""Measure a few steps and a few images of a run: what `calibrations` starts, a process for each. With torch.

    python -m segrank.measure  <  request (JSON)     ->  an `Observation`, the last line of standard output

A process of its own, so that planning goes without torch, memory is this run's alone, and one that fails or takes too
much memory ends nothing else. Weights are random: they do not change how long anything takes.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch
from lightning_fabric import Fabric
from pydantic import BaseModel
from torch import Tensor

from segrank.assemble import build_segmenter, make_fabric
from segrank.data.dataset import Split
from segrank.data.loader import training_batches
from segrank.data.scenes import open_scenes
from segrank.errors import SegrankError
from segrank.evaluate.evaluate import evaluate
from segrank.evaluate.windows import resized_size, windows
from segrank.inputs import open_data
from segrank.spec import RunSpec
from segrank.study.observations import Observation, place_of, traits_of
from segrank.train.cost import count_shapes, peak_device_gib, peak_host_gib
from segrank.train.loop import Progress, train
from segrank.train.micro_batch import usual_micro_batch
from segrank.train.optim import adamw
from segrank.train.segmenter import Segmenter
from segrank.train.step_clock import step_clock

_MOST_STEPS, _MOST_IMAGES = 100, 20
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Request(BaseModel):
    """What to measure."""

    spec: RunSpec
    """With its precision resolved."""
    root: str | None
    device: str
    seconds: float
    """For training, and as much for evaluation; two steps and two images are measured in any case."""
    classes: int
    """Of the dataset, should it not be here."""
    began: float
    """When this process was started, in seconds of the epoch."""


class _Data(NamedTuple):
    train: Split
    val: Split
    classes: int
    real: bool


def measure(request: Request) -> Observation:
    """Time training and evaluation.

    Raises:
        SegrankError: the run cannot be built, or does not fit into memory.
    """
    spec = request.spec.replace(weights="random")
    data = _data(request)
    assert spec.precision != "auto"
    fabric = make_fabric(request.device, 1, spec.precision)
    fabric.launch()
    segmenter, _ = build_segmenter(spec, data.classes)
    shapes = count_shapes(segmenter, spec.crop)
    start_s = time.time() - request.began
    progress = _train(fabric, segmenter, spec, data.train, request.seconds)
    evaluation_s, windows_each = _evaluate(fabric, segmenter, spec, data, request.seconds)
    images = progress.step * _batch_size(spec, request.device)
    name = torch.cuda.get_device_name(fabric.device) if request.device == "cuda" else "cpu"
    return Observation(
        source="calibration",
        traits=traits_of(request.spec),
        place=place_of(name),
        dataset=spec.dataset,
        eval_dataset=(spec.eval_dataset or spec.dataset) if data.real else "",
        compute_s=(progress.train_s - progress.optimizer_s) / images,
        optimizer_s=progress.optimizer_s / progress.step,
        data_s=progress.data_wait_s / images if data.real else None,
        evaluation_s=evaluation_s,
        windows=windows_each,
        rest_s=start_s,
        forward_flops=shapes.forward_flops,
        train_flops=shapes.train_flops,
        encoder_parameters=sum(p.numel() for p in segmenter.encoder.parameters()),
        decoder_parameters=sum(p.numel() for p in segmenter.decoder.parameters()),
        trained_parameters=sum(p.numel() for p in segmenter.parameters() if p.requires_grad),
        micro_batch=progress.micro_batch,
        host_gib=peak_host_gib(),
        device_gib=peak_device_gib(fabric.device),
    )


def _data(request: Request) -> _Data:
    """The run's own, or generated scenes where they are not here."""
    spec = request.spec
    try:
        data = open_data(spec, request.root)
        return _Data(train=data.train_split, val=data.eval_split, classes=len(data.dataset.classes), real=True)
    except SegrankError:
        height, width = spec.crop
        scenes = open_scenes({"size": f"{height}x{width}", "train": 64, "val": 4})
        classes = max(request.classes, len(scenes.classes))
        return _Data(train=scenes.split("train"), val=scenes.split("val"), classes=classes, real=False)


def _batch_size(spec: RunSpec, device: str) -> int:
    """Images of a measured step: a micro-batch is enough, since each takes as long as the next."""
    return usual_micro_batch(spec.batch_size, spec.crop, device)


def _train(fabric: Fabric, segmenter: Segmenter, spec: RunSpec, split: Split, seconds: float) -> Progress:
    """Steps after the first one, which compiles and allocates."""
    optimizer = adamw(
        segmenter, lr=spec.lr, encoder_lr_multiplier=spec.encoder_lr_multiplier, weight_decay=spec.weight_decay
    )
    model, optimizer = fabric.setup(segmenter, optimizer)
    batch_size = _batch_size(spec, fabric.device.type)
    batches = training_batches(
        split, crop=spec.crop, seed=0, batch_size=batch_size, steps=_MOST_STEPS + 1,
        pin_memory=fabric.device.type == "cuda",
    )  # fmt: skip

    def some(batches: Iterator[tuple[Tensor, Tensor]], progress: Progress, steps: int, until: float) -> Progress:
        with step_clock(segmenter.encoder, fabric.device) as clock:
            train(
                fabric,
                model,
                optimizer,
                batches,
                progress,
                clock,
                steps=steps,
                poly_power=spec.poly_power,
                seed=0,
                evaluate_at=frozenset(),
                checkpoint_every_s=math.inf,
                on_step=lambda *_: None,
                on_evaluate=lambda _: None,
                on_checkpoint=lambda: None,
                stop=lambda: progress.step > 1 and time.monotonic() > until,
            )
        return progress

    first = some(islice(batches, 1), Progress(micro_batch=batch_size), 1, 0.0)
    return some(batches, Progress(micro_batch=first.micro_batch), _MOST_STEPS, time.monotonic() + seconds)


def _evaluate(fabric: Fabric, segmenter: Segmenter, spec: RunSpec, data: _Data, seconds: float) -> tuple[float, float]:
    """Seconds and windows of an image: half of a run's are scored in its own precision, half in that of its scores."""

    def timed(indices: list[int], precision: str) -> float:
        dtype = _DTYPES.get(precision)
        started = time.monotonic()
        with torch.autocast(fabric.device.type, dtype=dtype, enabled=dtype is not None):
            evaluate(segmenter, data.val, indices, spec.crop, data.classes, device=fabric.device, threads=2)
        return (time.monotonic() - started) / len(indices)

    timed([0], spec.precision)
    once = timed([0], spec.score_precision)
    count = min(_MOST_IMAGES, len(data.val), max(2, int(seconds / once / 2)))
    indices = [index * len(data.val) // count for index in range(count)]
    each = [timed(indices, precision) for precision in (spec.precision, spec.score_precision)]
    sizes = [data.val[index].labels.shape for index in indices[:3]]
    covered = [len(windows(resized_size((h, w), spec.crop), spec.crop)) for h, w in sizes]
    return sum(each) / 2, sum(covered) / len(covered)


if __name__ == "__main__":
    try:
        result = measure(Request.model_validate_json(sys.stdin.read()))
    except SegrankError as error:
        sys.exit(str(error))
    print(result.model_dump_json())
