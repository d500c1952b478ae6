"""Runs that should differ and do not: an option without effect. No torch."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from segrank.counts import CONFUSION
from segrank.errors import SegrankError
from segrank.ranking.finding import Finding, listed
from segrank.ranking.results import OK, Results
from segrank.ranking.where import as_shown
from segrank.spec import EVALUATION_FIELDS, RunSpec
from segrank.store import Store

_SCORED = ("eval_digest", "eval_split", "score_precision", "corruption", "severity", "images", "classes")
_MOST = 6


def same_results(results: Results) -> Finding | None:
    """Runs of different specs with the same counts, image by image; none without a store or two runs to compare.

    Scores that agree to the last digit are only where to look: the counts decide. Networks that predict one class for
    every pixel agree whatever they are, which is another matter and said so.
    """
    if results.store is None:
        return None
    rows = results.rows.filter(pl.col("status") == OK)
    comparable = rows.group_by(_SCORED).agg(pl.col("run").n_unique().alias("runs")).filter(pl.col("runs") > 1)
    if comparable.is_empty():
        return None
    alike = [
        group for _, group in rows.group_by(*_SCORED, "miou", "pixel_accuracy", maintain_order=True) if group.height > 1
    ]
    found = [one for group in alike for one in _same_counts(results.store, group.unique("run", maintain_order=True))]
    if not found:
        return Finding(
            "an option without effect",
            "not seen",
            f"no two of {rows['run'].n_unique()} runs have the same counts",
            "every difference between the specs has changed something",
            "",
            (),
        )
    texts = [text for text, _ in found]
    return Finding(
        "an option without effect",
        "seen",
        "; ".join(texts[:_MOST]) + (f"; and {len(texts) - _MOST} more" if len(texts) > _MOST else ""),
        "runs whose specs differ came out equal to the pixel: what differs has not reached them, or one was copied",
        "find out whether the option arrives, and do not count these runs as repetitions or as two settings",
        tuple(dict.fromkeys(run for _, runs in found for run in runs)),
    )


def _same_counts(store: Store, rows: pl.DataFrame) -> Iterator[tuple[str, list[str]]]:
    groups: list[tuple[pl.DataFrame, list[int]]] = []
    for at, (run, key) in enumerate(rows.select("run", "evaluation").rows()):
        try:
            record = store.record(run)
            evaluation = next((e for e in record.evaluations if e.key == key), None) if record else None
            counts = store.counts(evaluation) if evaluation else None
        except (SegrankError, OSError, pl.exceptions.PolarsError):
            continue  # other verbs tell of it
        if counts is None:
            continue
        counts = counts.filter(pl.col("kind") == CONFUSION).sort("image", "a", "b")
        group = next((group for group in groups if group[0].equals(counts)), None)
        if group is None:
            groups.append((counts, [at]))
        else:
            group[1].append(at)
    fields = [name for name in RunSpec.model_fields if name not in EVALUATION_FIELDS]
    for counts, members in groups:
        if len(members) < 2:
            continue
        same = rows[members]
        differing = [name for name in fields if same[name].n_unique() > 1]
        said = ", ".join(f"{name} ({listed(as_shown(same[name]).unique().sort().to_list(), 3)})" for name in differing)
        why = ", and predict a single class everywhere" if counts["b"].n_unique() == 1 else ""
        runs, of = same["run"].to_list(), same["label"].unique().sort().to_list()
        yield f"runs {listed(runs, 4)} of {listed(of, 3)} differ in {said or 'no field of the spec'}{why}", runs
