"""Stores of finished runs, made without training: keys, scores and counts are as runs have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segrank.attempt import LOG, WEIGHTS
from segrank.counts import counts_table, scores
from segrank.files import digest
from segrank.record import Evaluation, Provenance, Record
from segrank.spec import RunSpec, evaluation_identity, identity, key_of
from segrank.store import Store

CLASSES = ("road", "sky", "car")
SPEC = RunSpec(encoder="small:plain", weights="random", dataset="scenes", steps=2)
WEIGHTS_TEXT = "weights " * 4000


def evaluation(run: str, split: str, luck: int = 0, step: int = 2, images: int = 4) -> tuple[Evaluation, Any]:
    """Of made counts, which `luck` decides; at a step before the last, along the way."""
    rng = np.random.default_rng([luck, step, *split.encode()])
    matrices = rng.integers(1, 99, (images, len(CLASSES), len(CLASSES)))
    names = [f"{split}/{index}" for index in range(images)]
    table = counts_table(names, ({"confusion": matrix} for matrix in matrices))
    final = step == SPEC.steps
    dataset = f"sha256:{digest(split)}"
    about = evaluation_identity(run, dataset, split, "fp32", step, images=None if final else images)
    return Evaluation(
        key=key_of(about), run=run, dataset="scenes", dataset_digest=dataset, split=split, precision="fp32",
        step=step, final=final, classes=CLASSES, images=images, scores=scores(matrices.sum(axis=0), CLASSES),
        seconds=1.0,
    ), table  # fmt: skip


def add_run(folder: Path, seed: int, *, luck: int = 0, splits: Sequence[str] = ("val",), weights: bool = True) -> str:
    """A published run, scored on the splits and once along the way; its key."""
    store, spec = Store(folder), SPEC.replace(seed=seed)
    what = identity(spec, {"dataset": "sha256:d"}, "fp32")
    key = key_of(what)
    attempt = store.begin(key, spec)
    assert attempt is not None
    (attempt.folder / LOG).write_text('{"step": 1, "loss": 2.0, "lr": 0.1}\n')
    if weights:
        (attempt.folder / WEIGHTS).write_text(f"{WEIGHTS_TEXT}{seed} {luck}")
    made = [evaluation(key, splits[0], luck, step=1), *(evaluation(key, split, luck) for split in splits)]
    for one, table in made:
        attempt.add_evaluation(one, table)
    attempt.publish(
        Record(
            key=key,
            status="ok",
            spec=spec,
            identity=what,
            precision="fp32",
            step=2,
            final=made[1][0].key,
            attempt=attempt.token,
            provenance=Provenance(host=f"host-{luck}"),
        )
    )
    return key


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file."""
    return {str(path.relative_to(folder)): digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}
