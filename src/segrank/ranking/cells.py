"""From rows of one protocol to a `Cell`: scores as arrays, and the counts per image behind them. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segrank.counts import CONFUSION, SCHEMA
from segrank.errors import RankingError, StoreError
from segrank.ranking.cell import Cell, ImageCounts
from segrank.ranking.resample import exact_miou
from segrank.ranking.results import Metric
from segrank.record import Evaluation
from segrank.store import Store

MIOU = "miou"
"""The metric that counts per image can be resampled for."""
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class RunCounts:
    """Counts of one evaluation: all arrays are (images, classes), see `ImageCounts`."""

    names: tuple[str, ...]
    """Of the images with labelled pixels, sorted."""
    truth: NDArray[np.int32]
    hits: NDArray[np.int32]
    predicted: NDArray[np.int32]


def run_counts(table: pl.DataFrame, classes: int) -> RunCounts:
    """The counts of one evaluation as arrays.

    Raises:
        StoreError: it has not the columns of a table of counts, or counts what cannot be.
    """
    try:
        rows = table.filter(pl.col("kind") == CONFUSION).select(SCHEMA.names()).cast(SCHEMA).drop_nulls()
    except pl.exceptions.PolarsError as error:
        raise StoreError(f"the table of counts is damaged: {str(error)[:200]}", fix="evaluate the run again") from None
    truth, predicted, pixels = (rows[name].cast(pl.Int64).to_numpy() for name in ("a", "b", "pixels"))
    pairs = np.stack([truth, predicted])
    if (pairs < 0).any() or (pairs >= classes).any() or (pixels < 0).any():
        raise StoreError(f"the table of counts does not fit {classes} classes", fix="evaluate the run again")
    # rows of an image mostly follow each other: only the first of each such row of rows is looked at as text
    block = rows["image"].rle_id().cast(pl.Int64).to_numpy()
    first = rows["image"].gather(np.flatnonzero(np.diff(block, prepend=-1)))
    images = first.unique().sort().to_list()
    image = (first.rank("dense").cast(pl.Int64).to_numpy() - 1)[block]

    def counted(by: NDArray[np.int64], of: NDArray[np.bool_] | slice) -> NDArray[np.int32]:
        # sums of whole numbers below 2**53 are exact in float64
        sums = np.bincount(image[of] * classes + by[of], pixels[of], minlength=len(images) * classes)
        if sums.max(initial=0) >= 2**31:
            raise StoreError("an image has more pixels than there can be", fix="evaluate the run again")
        return sums.reshape(len(images), classes).astype(np.int32)

    every = slice(None)
    return RunCounts(
        tuple(images), counted(truth, every), counted(truth, truth == predicted), counted(predicted, every)
    )


def read_counts(store: Store, rows: pl.DataFrame) -> tuple[dict[str, RunCounts], dict[str, str]]:
    """The counts behind rows of `results_of`, and what is wrong with those that cannot be used.

    Returns:
        evaluation's key -> counts, and run's key -> what is wrong.
    """
    found: dict[str, RunCounts] = {}
    wrong: dict[str, str] = {}
    for run, key, classes, miou in rows.select("run", "evaluation", "classes", MIOU).iter_rows():
        try:
            names = json.loads(classes)
            counts = run_counts(store.counts(_evaluation(store, run, key)), len(names))
            if not counts.names or abs(exact_miou(_images([[(run, counts)]], names))[0].item() - miou) > _ROUNDING:
                raise StoreError(f"its counts do not give its mIoU of {miou:.4f}", fix="evaluate the run again")
        except (StoreError, OSError, pl.exceptions.PolarsError) as error:
            wrong[run] = getattr(error, "found", str(error))
        else:
            found[key] = counts
    return found, wrong


def cell_of(
    rows: pl.DataFrame, metric: Metric, counts: Mapping[str, RunCounts] | None = None, *, group_images: str = ""
) -> Cell:
    """Rows of one protocol, with one score for an encoder and a seed, as a cell; encoders by their labels.

    Args:
        rows: of a `Block`.
        metric: the column of scores.
        counts: of every evaluation in the rows; none if there are none.
        group_images: a regular expression; images whose names have the same match (or first group of it) are drawn
            together, such as the frames of one film.

    Raises:
        RankingError: the evaluations are of different images, so they cannot be paired; the expression does not fit.
    """
    rows = rows.sort("label", "seed")
    encoders = rows.partition_by("label", maintain_order=True)
    images = None
    if counts is not None:
        of_runs = [[(run, counts[key]) for run, key in of.select("run", "evaluation").rows()] for of in encoders]
        images = _images(of_runs, json.loads(rows["classes"][0]))
        if group_images:
            images = images.grouped(_groups(images.names, group_images))
    return Cell(
        encoders=tuple(of["label"][0] for of in encoders),
        seeds=tuple(tuple(of["seed"].to_list()) for of in encoders),
        runs=tuple(tuple(of["run"].to_list()) for of in encoders),
        scores=tuple(of[metric.name].to_numpy().astype(np.float64) for of in encoders),
        images=images,
        higher_is_better=metric.direction == "higher",
    )


def _images(encoders: Sequence[Sequence[tuple[str, RunCounts]]], classes: Sequence[str]) -> ImageCounts:
    first_run, first = encoders[0][0]
    for run, counts in (pair for of in encoders for pair in of):
        if counts.names != first.names:
            apart = sorted(set(counts.names) ^ set(first.names))
            raise RankingError(
                f"runs {first_run} and {run} are scored on different images: {len(apart)} are in one of them only, "
                f"such as {apart[0][:80]}",
                wanted="evaluations of the same images: others cannot be paired",
                fix="evaluate both on the same split",
            )
        if not np.array_equal(counts.truth, first.truth):
            raise RankingError(
                f"runs {first_run} and {run} are scored against different labels of the same images",
                wanted="evaluations of the same labels: others cannot be paired",
                fix="evaluate both again",
            )
    scored = first.truth.any(axis=0)
    return ImageCounts(
        names=first.names,
        classes=tuple(classes[index] for index in np.flatnonzero(scored).tolist()),
        truth=first.truth[:, scored],
        hits=tuple(np.stack([counts.hits[:, scored] for _, counts in of]) for of in encoders),
        predicted=tuple(np.stack([counts.predicted[:, scored] for _, counts in of]) for of in encoders),
    )


def _evaluation(store: Store, run: str, key: str) -> Evaluation:
    record = store.record(run)
    found = next((evaluation for evaluation in record.evaluations if evaluation.key == key), None) if record else None
    if found is None:
        raise StoreError(f"evaluation {key} of run {run} is gone", fix="evaluate the run again")
    return found


def _groups(names: Iterable[str], expression: str) -> list[str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise RankingError(f'"{expression[:80]}" is no regular expression: {error}', fix="such as ^[^_]+") from None
    groups = []
    for name in names:
        match = pattern.search(name)
        if match is None:
            raise RankingError(
                f'"{expression[:80]}" is nowhere in the image name {name[:80]}', wanted="a match in each"
            )
        groups.append(match[1] if pattern.groups else match[0])
    if len(set(groups)) < 2:
        raise RankingError(f'"{expression[:80]}" puts all images into one group', wanted="several groups to draw from")
    return groups
