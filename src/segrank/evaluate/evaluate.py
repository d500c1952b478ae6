"""Evaluate a network on a split: from samples to a table of counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from segrank.counts import BOUNDARY, CALIBRATION, CONFUSION, confusion, counts_table
from segrank.data.dataset import Sample, Split
from segrank.evaluate.boundary import boundary_counts
from segrank.evaluate.calibration import calibration_counts
from segrank.evaluate.sliding import Segmenter, predict, predict_confidence


def evaluate(
    segmenter: Segmenter,
    split: Split,
    indices: Sequence[int],
    crop: tuple[int, int],
    classes: int,
    *,
    device: torch.device,
    on_image: Callable[[int, int], None] | None = None,
    threads: int = 1,
    window_batch: int = 2,
    also: Collection[str] = (),
    on_prediction: Callable[[str, NDArray[np.uint8]], None] | None = None,
) -> pl.DataFrame:
    """Predict images one by one and count.

    Training goes on afterwards as if nothing had happened: every module gets its mode back, and torch's
    random numbers their state.

    Args:
        segmenter: on `device`. Its precision is the caller's: an autocast around the call holds for it.
        split: where samples are read from, by `threads` threads at once.
        indices: which samples, in the order of the result.
        crop: (height, width) of a window.
        classes: how many there are.
        device: where to predict.
        on_image: called after each image with (images done, images in all).
        threads: they read ahead while the network runs; one sample more than this waits at most.
        window_batch: windows per forward pass.
        also: what to count besides confusions, `boundary` or `calibration`.
        on_prediction: told the name of each sample, and its labels as predicted.

    Returns:
        The table of counts; see `segrank.counts`.

    Raises:
        DataError: a sample cannot be read, or holds a label that is no class.
        TrainingError: the network's scores are not finite. Every error carries a note with the sample's name.
    """
    all_names = split.names
    names = [all_names[index] for index in indices]

    def count(sample: Sample) -> dict[str, NDArray[np.int64]]:
        kinds = {}
        if CALIBRATION in also:
            prediction, confidence = predict_confidence(
                segmenter, sample.image, crop, device=device, window_batch=window_batch
            )
            kinds = calibration_counts(sample.labels, prediction, confidence)
        else:
            prediction = predict(segmenter, sample.image, crop, device=device, window_batch=window_batch)
        if on_prediction is not None:
            on_prediction(sample.name, prediction)
        kinds[CONFUSION] = confusion(sample.labels, prediction, classes)
        if BOUNDARY in also:
            kinds[BOUNDARY] = boundary_counts(sample.labels, prediction, classes)
        return kinds

    def counts_by_image() -> Generator[dict[str, NDArray[np.int64]]]:
        # Without closing, an error here would leave threads reading until the traceback is forgotten.
        with closing(_read_ahead(split, indices, threads)) as samples:
            for done, (sample, name) in enumerate(zip(samples, names, strict=True), start=1):
                with _naming(name):
                    counts = count(sample)
                if on_image is not None:
                    on_image(done, len(names))
                yield counts

    with _evaluating(segmenter, device), closing(counts_by_image()) as counted:
        return counts_table(names, counted)


def _read_ahead(split: Split, indices: Sequence[int], threads: int) -> Generator[Sample]:
    """Samples in the order of `indices`. On any way out, no thread is left reading."""

    names = split.names

    def read(index: int) -> Sample:
        with _naming(names[index]):
            return split[index]

    pool = ThreadPoolExecutor(threads, thread_name_prefix="segrank-read")
    waiting: deque[Future[Sample]] = deque()
    try:
        for index in indices:
            waiting.append(pool.submit(read, index))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # What is not yet begun is dropped; a sample that is being decoded takes a moment.
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"at sample {name}")
        raise


@contextmanager
def _evaluating(segmenter: Segmenter, device: torch.device) -> Iterator[None]:
    modules = list(segmenter.modules()) if isinstance(segmenter, nn.Module) else []
    # Module by module: a frozen encoder may well be in evaluation mode inside a network that is training.
    modes = [module.training for module in modules]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            for module in modules:
                module.training = False
            yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode
