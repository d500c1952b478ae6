"""One evaluation: a split, a precision, a step -> scores and the counts behind them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from segrank.counts import BOUNDARY, CALIBRATION, confusion_from_table, scores
from segrank.data.dataset import Split
from segrank.errors import SegrankError
from segrank.evaluate.corruptions import CorruptedSplit, Corruption
from segrank.evaluate.evaluate import evaluate
from segrank.predictions import Prediction, images_kept, packed, reduced
from segrank.ranks import agree
from segrank.record import Evaluation
from segrank.spec import Precision, evaluation_identity, key_of
from segrank.stop import Stopped
from segrank.train.segmenter import Segmenter

READ_AHEAD = 2
ALSO = (BOUNDARY, CALIBRATION)
"""What an evaluation can count besides confusions."""

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Plan(NamedTuple):
    """An evaluation before it is made: what it will be, and the key that this has."""

    key: str
    run: str
    dataset: str
    """As it was asked for."""
    digest: str
    split: str
    precision: Precision
    step: int
    indices: Sequence[int] | None
    """Which images; none for all, which is what a final evaluation looks at."""
    also: tuple[str, ...]
    """Of `ALSO`, in that order."""
    corruption: Corruption | None
    """What images are spoilt with."""


def plan_evaluation(
    *,
    run: str,
    dataset: str,
    digest: str,
    split: str,
    precision: Precision,
    step: int,
    indices: Sequence[int] | None = None,
    also: Collection[str] = (),
    corruption: Corruption | None = None,
) -> Plan:
    """Args: as the fields of `Plan`."""
    assert set(also) <= set(ALSO)
    also = tuple(name for name in ALSO if name in also)
    identity = evaluation_identity(
        run,
        digest,
        split,
        precision,
        step,
        images=None if indices is None else len(indices),
        also=also,
        corruption=(*corruption, corruption.amount) if corruption else (),
    )
    return Plan(key_of(identity), run, dataset, digest, split, precision, step, indices, also, corruption)


class Scored(NamedTuple):
    """An evaluation, what its scores come from, and predictions of some images as `segrank.predictions` packs them."""

    evaluation: Evaluation
    counts: pl.DataFrame
    predictions: bytes


def score(
    fabric: Fabric,
    segmenter: Segmenter,
    split: Split,
    plan: Plan,
    *,
    classes: Sequence[str],
    crop: tuple[int, int],
    on_image: Callable[[str, int, int], None],
    stop: Callable[[], bool] = lambda: False,
) -> Scored:
    """Make an evaluation, each rank its share of the images.

    Args:
        split: the one that the plan is about.
        classes: the ones that the segmenter was trained for.
        on_image: called after each image with what is being done, images done, images in all.
        stop: asked after each image.

    Raises:
        DataError, TrainingError: as `evaluate`, on whatever rank. Stopped: `stop` said so.
    """
    started = time.monotonic()
    final = plan.indices is None
    indices = range(len(split)) if plan.indices is None else plan.indices
    work = f"evaluate on {plan.split}" + ("" if final else f" at step {plan.step}")
    if plan.corruption:
        split = CorruptedSplit(split, plan.corruption)
        work += f", {plan.corruption.kind} {plan.corruption.severity}"

    def after_image(done: int, total: int) -> None:
        on_image(work, done, total)
        if stop():
            raise Stopped

    names = split.names
    show = final and not plan.corruption
    shown = {names[indices[place]]: indices[place] for place in images_kept(len(indices))} if show else {}
    kept: list[Prediction] = []

    def keep(name: str, labels: NDArray[np.uint8]) -> None:
        if name in shown:
            kept.append(Prediction(shown[name], name, reduced(labels)))

    dtype = _DTYPES.get(plan.precision)
    counts, error = pl.DataFrame(), None
    try:
        with torch.autocast(fabric.device.type, dtype=dtype, enabled=dtype is not None):
            counts = evaluate(
                segmenter,
                split,
                indices[fabric.global_rank :: fabric.world_size],
                crop,
                len(classes),
                device=fabric.device,
                on_image=after_image,
                threads=READ_AHEAD,
                also=plan.also,
                on_prediction=keep,
            )
    except (SegrankError, Stopped) as caught:
        error = caught
    agree(fabric, error)
    if fabric.world_size > 1:
        counts = _gather(counts, [names[index] for index in indices], fabric.world_size)
        kept = [one for part in _parts(kept, fabric.world_size) for one in part]
    evaluation = Evaluation(
        key=plan.key,
        run=plan.run,
        dataset=plan.dataset,
        dataset_digest=plan.digest,
        split=plan.split,
        precision=plan.precision,
        step=plan.step,
        final=final,
        also=plan.also,
        corruption=plan.corruption.kind if plan.corruption else "",
        severity=plan.corruption.severity if plan.corruption else 0,
        classes=tuple(classes),
        images=len(indices),
        scores=scores(confusion_from_table(counts, len(classes)), classes),
        seconds=time.monotonic() - started,
    )
    return Scored(evaluation, counts, packed(kept))


T = TypeVar("T")


def _parts(own: T, ranks: int) -> list[T]:
    """Every rank's, in every rank."""
    parts: list[T | None] = [None] * ranks
    torch.distributed.all_gather_object(parts, own)
    return [part for part in parts if part is not None]


def _gather(counts: pl.DataFrame, names: list[str], ranks: int) -> pl.DataFrame:
    """Every rank's counts in every rank, in the order of one process."""
    place = pl.DataFrame({"image": names, "place": np.arange(len(names))})
    together = pl.concat(_parts(counts, ranks))
    return together.join(place, on="image", how="left").sort("place", "kind", "a", "b").drop("place")
