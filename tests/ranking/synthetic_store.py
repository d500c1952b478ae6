"""Stores as runs leave them, made without training: records and counts go through the real `Store`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segrank.counts import CONFUSION, counts_table, scores
from segrank.files import digest
from segrank.record import Cost, Evaluation, Provenance, Record, Status
from segrank.spec import RunSpec, identity, key_of
from segrank.store import Store

CLASSES = ("road", "sky", "car")
IMAGES = 12


def confusions(
    accuracy: float, luck: object = 0, *, split: str = "val", images: int = IMAGES, noise: float = 0.05
) -> NDArray[np.int64]:
    """(images, classes, classes): of every class about `accuracy` of the pixels are right.

    Labels depend on the split only; `luck` (such as encoder and seed) decides what is right beside them.
    """
    labels = np.random.default_rng(list(split.encode()))
    own = np.random.default_rng(list(f"{luck}{split}".encode()))
    truth = labels.integers(500, 5000, (images, len(CLASSES)))
    right = np.clip(accuracy + noise * own.standard_normal((images, len(CLASSES))), 0, 1)
    hits = np.rint(truth * right).astype(np.int64)
    found = np.zeros((images, len(CLASSES), len(CLASSES)), np.int64)
    for index in range(len(CLASSES)):
        found[:, index, index] = hits[:, index]
        found[:, index, (index + 1) % len(CLASSES)] = truth[:, index] - hits[:, index]
    return found


def evaluation_of(run: str, counts: NDArray[np.int64], *, spec: RunSpec, split: str, **changes: Any) -> Evaluation:
    """An evaluation whose scores are those of the counts."""
    dataset = spec.eval_dataset or spec.dataset
    known: dict[str, Any] = {
        "key": digest(f"{run} {split} {changes}")[:16],
        "run": run,
        "dataset": dataset,
        "dataset_digest": f"sha256:{digest(f'{dataset} {split}')}",
        "split": split,
        "precision": "fp32",
        "step": spec.steps,
        "final": True,
        "classes": CLASSES,
        "images": len(counts),
        "scores": scores(counts.sum(axis=0), CLASSES),
        "seconds": 0.01 * len(counts),
    }
    return Evaluation(**{**known, **changes})


def add_run(
    store: Store,
    encoder: str,
    accuracy: float = 0.7,
    *,
    status: Status | None = "ok",
    splits: Sequence[str] = ("val",),
    counts: NDArray[np.int64] | None = None,
    digests: dict[str, str] | None = None,
    card: dict[str, Any] | None = None,
    **fields: Any,
) -> str:
    """A run in a store, with an evaluation on each of the splits.

    Args:
        store: to put it into.
        encoder: reference; one without a scheme is of `small:`.
        accuracy: of its predictions.
        status: of its record; None for a run that was begun and left no record.
        splits: the first one is what its spec asks for.
        counts: (images, classes, classes) instead of generated ones.
        digests: of the files that the spec names.
        card: in the record.
        fields: of its spec.

    Returns:
        its key.
    """
    spec = RunSpec(
        **{
            "encoder": encoder if ":" in encoder else f"small:{encoder}",
            "dataset": "scenes",
            "weights": "random",
            "steps": 100,
            "eval_split": splits[0],
            **fields,
        }
    )
    identified = identity(spec, {"dataset": f"sha256:{digest(spec.dataset)}", **(digests or {})}, "fp32")
    key = key_of(identified)
    attempt = store.begin(key, spec)
    assert attempt is not None, "this run is there already"
    record = Record(
        key=key,
        status=status or "ok",
        spec=spec,
        identity=identified,
        precision="fp32",
        card=card,
        step=spec.steps,
        attempt=attempt.token,
        cost=Cost(train_s=3600, peak_host_gib=2, encoder_parameters=5_000_000, forward_flops=2 * 10**9),
        provenance=Provenance(device="cpu"),
        error="TrainingError: the loss is nan" if status == "failed" else "",
    )
    if status == "ok":
        for split in splits:
            made = confusions(accuracy, f"{encoder}{spec.seed}", split=split) if counts is None else counts
            evaluation = evaluation_of(key, made, spec=spec, split=split)
            names = [f"{split}/{number:03}" for number in range(len(made))]
            attempt.add_evaluation(evaluation, counts_table(names, [{CONFUSION: matrix} for matrix in made]))
            if split == splits[0]:
                record = record.model_copy(update={"final": evaluation.key})
        attempt.publish(record)
    else:
        if status:
            attempt.give_up(record)
        attempt.claim.release()
    return key
