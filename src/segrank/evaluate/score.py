"""One evaluation: a split, a precision, a step -> scores and the counts behind them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import torch
from lightning_fabric import Fabric

from segrank.counts import confusion_from_table, scores
from segrank.data.dataset import Dataset
from segrank.evaluate.evaluate import evaluate
from segrank.record import Evaluation
from segrank.spec import SCHEMA, Precision, key_of
from segrank.stop import Stopped
from segrank.train.segmenter import Segmenter

ALONG_THE_WAY = (1 / 8, 1 / 4, 1 / 2, 3 / 4)
"""Fractions of the steps at which every run is evaluated on part of the split; the end has the whole."""
READ_AHEAD = 2

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def steps_along_the_way(steps: int) -> frozenset[int]:
    return frozenset(round(steps * fraction) for fraction in ALONG_THE_WAY) - {0, steps}


def images_along_the_way(images: int) -> list[int]:
    """A quarter of the split, at least 50 where there are so many, evenly spread: the same for every run."""
    count = min(images, max(50, images // 4))
    return [i * images // count for i in range(count)]


def evaluation_key(
    run: str, dataset_digest: str, split: str, precision: Precision, step: int, images: Sequence[int] | None
) -> str:
    return key_of(
        {
            "schema": SCHEMA,
            "run": run,
            "dataset": dataset_digest,
            "split": split,
            "precision": precision,
            "step": step,
            "images": None if images is None else len(images),
        }
    )


def score(
    fabric: Fabric,
    segmenter: Segmenter,
    dataset: Dataset,
    *,
    run: str,
    dataset_name: str,
    split_name: str,
    classes: Sequence[str],
    crop: tuple[int, int],
    precision: Precision,
    step: int,
    final: bool,
    on_image: Callable[[str, int, int], None],
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Evaluation, pl.DataFrame]:
    """Evaluate on a split (on part of it unless `final`), each rank its share of the images.

    Args:
        classes: the ones that the segmenter was trained for.
        on_image: called after each image with what is being done, images done, images in all.
        stop: asked after each image.

    Raises:
        DataError: as `evaluate`. Stopped: `stop` said so, on this rank or another.
    """
    started = time.monotonic()
    split = dataset.split(split_name)
    some = None if final else images_along_the_way(len(split))
    indices = list(range(len(split))) if some is None else some
    work = f"evaluate on {split_name}" + ("" if final else f" at step {step}")

    def after_image(done: int, total: int) -> None:
        on_image(work, done, total)
        if stop():
            raise Stopped

    dtype = _DTYPES.get(precision)
    counts: pl.DataFrame | None = None
    with contextlib.suppress(Stopped), torch.autocast(fabric.device.type, dtype=dtype, enabled=dtype is not None):
        counts = evaluate(
            segmenter,
            split,
            indices[fabric.global_rank :: fabric.world_size],
            crop,
            len(classes),
            device=fabric.device,
            on_image=after_image,
            threads=READ_AHEAD,
        )
    # a rank that was stopped must not leave the others waiting for its counts
    if fabric.strategy.reduce_boolean_decision(counts is None, all=False) or counts is None:
        raise Stopped
    if fabric.world_size > 1:
        counts = _gather(counts, [split.names[i] for i in indices], fabric.world_size)
    digest = split.digest()
    evaluation = Evaluation(
        key=evaluation_key(run, digest, split_name, precision, step, some),
        run=run,
        dataset=dataset_name,
        dataset_digest=digest,
        split=split_name,
        precision=precision,
        step=step,
        final=final,
        classes=tuple(classes),
        images=len(indices),
        scores=scores(confusion_from_table(counts, len(classes)), classes),
        seconds=time.monotonic() - started,
    )
    return evaluation, counts


def _gather(counts: pl.DataFrame, names: list[str], ranks: int) -> pl.DataFrame:
    """Every rank's counts in every rank, in the order of one process."""
    parts: list[pl.DataFrame | None] = [None] * ranks
    torch.distributed.all_gather_object(parts, counts)
    place = pl.DataFrame({"image": names, "place": np.arange(len(names))})
    together = pl.concat([part for part in parts if part is not None])
    return together.join(place, on="image", how="left").sort("place", "a", "b").drop("place")
