"""The store: publication, claims, damage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from segrank.attempt import LOG, WEIGHTS, Attempt
from segrank.claims import Claim
from segrank.errors import ClaimError, StoreError
from segrank.record import RECORD_SCHEMA, Evaluation, Record, Scores
from segrank.spec import RunSpec
from segrank.store import Store

KEY = "0123456789abcdef"
SPEC = RunSpec(encoder="small:vit-deep", dataset="scenes", weights="random", steps=2)
COUNTS = pl.DataFrame({"image": ["a"], "kind": ["confusion"], "a": [0], "b": [0], "pixels": [7]})


def record(attempt: Attempt, **changes: Any) -> Record:
    known = {
        "key": KEY,
        "status": "ok",
        "spec": SPEC,
        "identity": {},
        "precision": "fp32",
        "attempt": attempt.token,
    }
    return Record(**{**known, **changes})


def evaluation(key: str = "e" * 16, step: int = 2) -> Evaluation:
    scores = Scores(miou=0.5, iou=(0.5, None), scored_classes=("sky",), pixel_accuracy=0.5, pixels=7)
    return Evaluation(
        key=key, run=KEY, dataset="scenes", dataset_digest="sha256:d", split="val", precision="fp32", step=step,
        final=True, classes=("sky", "car"), images=1, scores=scores, seconds=1.0,
    )  # fmt: skip


def begin(store: Store) -> Attempt:
    attempt = store.begin(KEY, SPEC)
    assert attempt is not None
    return attempt


def publish(store: Store, text: str = "weights") -> Record:
    attempt = begin(store)
    (attempt.folder / LOG).write_text('{"step": 1, "loss": 2.0, "lr": 0.1}\n')
    (attempt.folder / WEIGHTS).write_text(text)
    attempt.add_evaluation(evaluation(), COUNTS)
    attempt.publish(record(attempt, final="e" * 16))
    published = store.published(KEY)
    assert published is not None
    return published


def test_a_published_run_reads_back_and_leaves_no_attempt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    published = publish(store)
    assert published.status == "ok"
    assert published.miou == 0.5
    assert store.run_keys() == [KEY]
    assert store.find("0123") == KEY
    assert sorted(p.name for p in store.run_folder(KEY).iterdir()) == [
        "evaluations", "log.jsonl", "record.json", "spec.json", "weights.safetensors",
    ]  # fmt: skip
    assert store.log(KEY) == [{"step": 1, "loss": 2.0, "lr": 0.1}]
    assert store.counts(published.evaluations[0]).equals(COUNTS)
    assert json.loads((store.run_folder(KEY) / "spec.json").read_text())["steps"] == 2


def test_of_two_attempts_that_finish_one_wins_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    slow = begin(store)
    (slow.folder / LOG).write_text("{}\n")
    (slow.folder / WEIGHTS).write_text("slow")
    slow.claim.path.unlink()  # it was held for dead
    first = publish(store, "fast")
    slow.folder.mkdir(parents=True)  # it wakes, its folder gone, and writes on
    (slow.folder / WEIGHTS).write_text("slow")
    slow.publish(record(slow, step=99))
    assert store.published(KEY) == first
    assert store.file(first, WEIGHTS).read_text() == "fast"
    with pytest.raises(ClaimError, match="taken over"):
        slow.claim.check()


def test_a_publication_cut_after_its_link_is_readable_and_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr(Store, "settle", lambda *_: None)
    cut = publish(store)
    monkeypatch.undo()
    assert cut.miou == 0.5
    assert store.file(cut, WEIGHTS).parent.parent.name == "attempts"
    store.settle(KEY)
    assert store.file(cut, WEIGHTS).parent == store.run_folder(KEY)
    assert store.counts(cut.evaluations[0]).equals(COUNTS)
    assert not (store.run_folder(KEY) / "attempts").exists()


def test_a_failed_attempt_is_shown_and_the_next_one_may_succeed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    attempt = begin(store)
    attempt.give_up(record(attempt, status="failed", error="TrainingError: the loss is nan"))
    attempt.claim.release()
    shown = store.record(KEY)
    assert shown is not None
    assert shown.status == "failed"
    assert shown.miou is None
    assert "nan" in shown.error
    assert publish(store).status == "ok"


def test_a_living_owner_keeps_its_run_and_a_dead_one_does_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    attempt = begin(store)
    with pytest.raises(ClaimError, match=f"process {os.getpid()}"):
        store.begin(KEY, SPEC)
    attempt.claim.release()
    script = (
        "import os, sys; from segrank.store import Store; from segrank.spec import RunSpec\n"
        f"Store(sys.argv[1]).begin({KEY!r}, RunSpec(encoder='small:x', dataset='scenes')); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    assert (store.run_folder(KEY) / "claim").exists()
    successor = begin(store)
    assert successor.claim.holds()
    assert not list(store.run_folder(KEY).glob(".claim*"))


def test_another_machines_owner_is_judged_by_its_heartbeat_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = {"token": "there", "machine": "elsewhere", "pid": 1, "process_started": 0}
    heartbeat = tmp_path / "attempts" / "there" / "heartbeat"
    heartbeat.parent.mkdir(parents=True)
    heartbeat.write_text("1")
    (tmp_path / "attempts" / "here").mkdir()
    (tmp_path / "claim").write_text(json.dumps(owner))
    monkeypatch.setattr(time, "sleep", lambda _: heartbeat.write_text("2"))
    with pytest.raises(ClaimError, match="elsewhere"):
        Claim.take(tmp_path, "here", notify=lambda _: None, silence_s=0.05)
    monkeypatch.undo()
    os.utime(heartbeat, (2e9, 2e9))  # its clock may say anything
    said: list[str] = []
    claim = Claim.take(tmp_path, "here", notify=said.append, silence_s=0.05)
    assert claim.holds()
    assert "heartbeat" in said[0]
    claim.release()
    assert not (tmp_path / "claim").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "is damaged"),
        (lambda _: "", "is damaged"),
        (lambda _: "[1, 2]", "is damaged"),
        (
            lambda text: text.replace(f'"record_schema": {RECORD_SCHEMA}', '"record_schema": 999'),
            "use a newer segrank",
        ),
        (lambda text: text.replace('"status": "ok"', '"status": "fine"'), "damaged at status"),
        (
            lambda text: text.replace(f'"key": "{KEY}"', '"key": "ffffffffffffffff"'),
            "holds the record of run",
        ),
    ],
)
def test_a_damaged_record_is_named_and_others_are_still_read(tmp_path: Path, damage: Any, message: str) -> None:
    store = Store(tmp_path)
    publish(store)
    (store.run_folder("f" * 16) / "attempts").mkdir(parents=True)  # half made, without a record
    path = store.run_folder(KEY) / "record.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(StoreError) as caught:
        store.record(KEY)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    problems: list[StoreError] = []
    assert list(store.scan(problems.append)) == []
    assert len(problems) == 1


@pytest.mark.parametrize("value", ["NaN", "1.5", "-0.1", "Infinity"])
def test_a_score_out_of_range_is_not_accepted(tmp_path: Path, value: str) -> None:
    store = Store(tmp_path)
    publish(store)
    path = store.run_folder(KEY) / "evaluations" / ("e" * 16) / "scores.json"
    path.write_text(path.read_text().replace('"miou": 0.5', f'"miou": {value}'))
    with pytest.raises(StoreError, match=r"damaged at scores\.miou"):
        store.record(KEY)


def test_files_that_changed_since_publication_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    published = publish(store)
    (store.run_folder(KEY) / WEIGHTS).write_text("other")
    with pytest.raises(StoreError, match="sha256 differs"):
        store.file(published, WEIGHTS)
    counts = next(store.run_folder(KEY).glob("evaluations/*/counts.parquet"))
    counts.write_bytes(counts.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="sha256 differs"):
        store.counts(published.evaluations[0])


def test_an_evaluation_made_twice_stays_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store)
    again = store.add_evaluation(evaluation().model_copy(update={"seconds": 99.0}), COUNTS)
    assert again.seconds == 1.0
    assert not list(store.run_folder(KEY).glob("evaluations/.*"))


def test_what_a_kill_left_of_a_write_is_no_evaluation(tmp_path: Path) -> None:
    store = Store(tmp_path)
    published = publish(store)
    evaluations = store.run_folder(KEY) / "evaluations"
    (evaluations / ("e" * 16)).rename(evaluations / f".{'e' * 16}.12345678.tmp")
    left = store.published(KEY)
    assert left is not None
    assert left.evaluations == ()
    assert store.add_evaluation(published.evaluations[0], COUNTS) == published.evaluations[0]


@pytest.mark.parametrize(
    ("field", "value"), [("attempt", "../../../outside"), ("key", "../outside"), ("attempt", "/outside")]
)
def test_a_record_from_elsewhere_names_no_folders(tmp_path: Path, field: str, value: str) -> None:
    store = Store(tmp_path)
    published = publish(store)
    path = store.run_folder(KEY) / "record.json"
    path.write_text(path.read_text().replace(f'"{field}": "{getattr(published, field)}"', f'"{field}": "{value}"'))
    with pytest.raises(StoreError, match=f"damaged at {field}"):
        store.published(KEY)


def test_a_store_that_may_only_be_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr(Store, "settle", lambda *_: None)
    published = publish(store)
    monkeypatch.undo()

    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "link", refused)  # root may write anywhere, so the system's refusal is played
    store.tidy(KEY)
    assert store.published(KEY) == published
    with pytest.raises(StoreError, match="Read-only file system"):
        store.begin("f" * 16, SPEC)


def test_a_dead_owner_is_not_shown_as_running(tmp_path: Path) -> None:
    store = Store(tmp_path)
    attempt = begin(store)
    owner = json.loads(attempt.claim.path.read_text())
    running = store.running(KEY)
    assert running is not None
    assert running["pid"] == os.getpid()
    attempt.claim.path.write_text(json.dumps({**owner, "process_started": "1"}))  # the number was given away again
    assert store.running(KEY) is None
    attempt.claim.release()


def test_keys_are_found_by_their_beginning_only_if_one_fits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in ("aa" * 8, "ab" * 8):
        store.run_folder(key).mkdir(parents=True)
    assert store.find("aa") == "aa" * 8
    for wrong in ("a", "c", "", "../"):
        with pytest.raises(StoreError, match="begin with"):
            store.find(wrong)


def test_a_folder_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path).begin(KEY, SPEC)
