"""A store of runs on generated scenes, with predictions, made without training: labels with mistakes in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segrank.attempt import Attempt
from segrank.counts import CONFUSION, confusion, counts_table, scores
from segrank.data import open_dataset
from segrank.files import digest
from segrank.predictions import Prediction, images_kept, packed, reduced
from segrank.record import Cost, Evaluation, Provenance, Record
from segrank.spec import RunSpec, identity, key_of
from segrank.store import Store

DATASET = "scenes?size=96&train=4&val=8"


def mistaken(labels: NDArray[np.uint8], classes: int, share: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Blocks of about `share` of the pixels have the class of somewhere else, and contours are moved a little."""
    height, width = labels.shape
    moved = np.roll(labels, random.integers(-2, 3, 2), (0, 1))
    found = np.where(moved < classes, moved, 0).astype(np.uint8)
    for _ in range(int(60 * share)):
        top, left = random.integers(0, height - 12), random.integers(0, width - 12)
        found[top : top + 12, left : left + 12] = random.integers(0, classes)
    return found


def _begun(store: Store, encoder: str, **fields: Any) -> tuple[Attempt, Record]:
    spec = RunSpec(**{"encoder": encoder, "weights": "random", "dataset": DATASET, "steps": 400, **fields})
    identified = identity(spec, {"dataset": f"sha256:{digest(spec.dataset)}"}, "fp32")
    attempt = store.begin(key_of(identified), spec)
    assert attempt is not None, "this run is there already"
    record = Record(
        key=attempt.key, status="ok", spec=spec, identity=identified, precision="fp32", step=400, attempt=attempt.token,
        cost=Cost(train_s=3600 * (0.2 if spec.freeze else 1), peak_host_gib=2, encoder_parameters=5_000_000),
        provenance=Provenance(segrank="0.1.0", torch="2.13.0", device="cpu", train_images=4),
    )  # fmt: skip
    return attempt, record


def add_failed(store: Store, encoder: str, **fields: Any) -> None:
    attempt, record = _begun(store, encoder, **fields)
    attempt.give_up(record.model_copy(update={"status": "failed", "error": "TrainingError: the loss is nan"}))
    attempt.claim.release()


def add_run(store: Store, encoder: str, mistakes: float, **fields: Any) -> str:
    """A run scored on all images of the split, with evaluations along the way; returns its key."""
    attempt, record = _begun(store, encoder, **fields)
    spec, key = record.spec, record.key
    data = open_dataset(DATASET, None)
    split = data.split("val")
    random = np.random.default_rng([len(encoder), spec.seed, int(1000 * mistakes)])
    final = ""
    for step in (100, 200, 400):
        names, counts, kept = [], [], []
        for place in range(len(split)):
            sample = split[place]
            labels = mistaken(sample.labels, len(data.classes), mistakes * (500 - step) / 100, random)
            names.append(sample.name)
            counts.append({CONFUSION: confusion(sample.labels, labels, len(data.classes))})
            kept.append(Prediction(place, sample.name, reduced(labels)))
        total = np.sum([of[CONFUSION] for of in counts], axis=0)
        evaluation = Evaluation(
            key=digest(f"{key} {step}")[:16], run=key, dataset=spec.dataset, dataset_digest=split.digest(), split="val",
            precision="fp32", step=step, final=step == 400, classes=data.classes, images=len(names),
            scores=scores(total, data.classes), seconds=0.1,
        )  # fmt: skip
        shown = [kept[place] for place in images_kept(len(kept))] if step == 400 else []
        attempt.add_evaluation(evaluation, counts_table(names, counts), packed(shown))
        final = evaluation.key
    attempt.publish(record.model_copy(update={"final": final}))
    return key
