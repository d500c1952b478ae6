"""What goes and what stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

from made_store import SPEC, add_run, contents

from segrank.attempt import WEIGHTS
from segrank.store import Store
from segrank.stores.gc import garbage, sweep

KIB = b"x" * 1024


def aged(path: Path) -> Path:
    """With a KiB in it, from two days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(KIB)
    os.utime(path, (time.time() - 2 * 86400,) * 2)
    return path


def test_what_was_left_behind_goes_and_nothing_else(tmp_path: Path) -> None:
    store, key = Store(tmp_path), add_run(tmp_path, 0)
    begun = store.begin("f" * 16, SPEC)
    assert begun is not None
    begun.claim.release()
    (begun.folder / "step-000000001.pt").write_bytes(KIB)
    fresh = store.run_folder(key) / ".weights.safetensors.87654321.tmp"
    fresh.write_bytes(KIB)
    before = contents(tmp_path)
    folder = store.run_folder(key)
    aged(folder / "attempts" / ("a" * 12) / "step-000000001.pt")
    aged(folder / ".weights.safetensors.12345678.tmp")
    aged(tmp_path / ".import-abc" / "runs" / "x")
    os.utime(tmp_path / ".import-abc", (0, 0))
    found = list(garbage(store))
    assert [(one.key, one.kind, one.size) for one in found] == [
        (key, "attempts", 1024), (key, "leftovers", 1024), ("", "leftovers", 1024),
    ]  # fmt: skip
    assert len(contents(tmp_path)) == len(before) + 3, "looking touches nothing"
    swept = sweep(store)
    assert (swept.gone, swept.kept) == (found, [])
    assert contents(tmp_path) == before
    assert list(garbage(store)) == []


def test_weights_go_by_choice_and_the_run_stays_ranked(tmp_path: Path) -> None:
    store, keys = Store(tmp_path), [add_run(tmp_path, seed) for seed in range(2)]
    assert list(garbage(store)) == []
    swept = sweep(store, weights=keys[:1])
    assert [(one.key, one.kind) for one in swept.gone] == [(keys[0], "weights")]
    records = [store.published(key) for key in keys]
    assert [store.find_file(record, WEIGHTS) is None for record in records if record] == [True, False]
    assert all(record and record.miou for record in records)


def test_a_publication_that_was_cut_is_completed_first(tmp_path: Path) -> None:
    store, key = Store(tmp_path), add_run(tmp_path, 0)
    folder, whole = store.run_folder(key), contents(tmp_path)
    record = store.published(key)
    assert record is not None
    winner = folder / "attempts" / record.attempt
    winner.mkdir(parents=True)
    for name in ("log.jsonl", WEIGHTS, "evaluations"):
        (folder / name).rename(winner / name)
    aged(winner / "heartbeat")
    [attempts, weights] = garbage(store, weights=[key])
    assert (attempts.size, weights.kind) == (1024, "weights")
    sweep(store)
    assert contents(tmp_path) == whole
    assert [one.kind for one in sweep(store, weights=[key]).gone] == ["weights"]


def test_a_run_that_somebody_is_at_is_left_alone(tmp_path: Path) -> None:
    store, key = Store(tmp_path), add_run(tmp_path, 0)
    path = aged(store.run_folder(key) / "attempts" / ("a" * 12) / "step-000000001.pt")
    (store.run_folder(key) / "record.json").rename(tmp_path / "away")
    attempt = store.begin(key, SPEC)
    assert attempt is not None
    (tmp_path / "away").rename(store.run_folder(key) / "record.json")
    swept = sweep(store, weights=[key])
    assert swept.gone == []
    assert all("is being run by process" in words for words in swept.kept)
    assert path.exists()
    attempt.claim.release()
    assert len(sweep(store, weights=[key]).gone) == 2
