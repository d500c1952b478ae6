"""How a run stands, as read from its folder alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from segrank.attempt import Attempt
from segrank.files import write_whole
from segrank.record import Evaluation, Record, Scores
from segrank.spec import RunSpec
from segrank.store import Store
from segrank.study.state import State, read_state
from segrank.study.tries import Outcome, Try, add_failure, forget

KEY, EVALUATION = "0123456789abcdef", "e" * 16
SPEC = RunSpec(encoder="small:shallow", dataset="scenes", weights="random", steps=9)
COUNTS = pl.DataFrame({"image": ["a"], "kind": ["confusion"], "a": [0], "b": [0], "pixels": [7]})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Store(tmp_path).run_folder(KEY)


def begin(run: Path) -> Attempt:
    attempt = Store(run.parents[1]).begin(KEY, SPEC)
    assert attempt is not None
    return attempt


def state(run: Path, **options: Any) -> State:
    return read_state(run, ["f" * 16, EVALUATION], **options)


def tried(run: Path, outcome: Outcome, error: str = "") -> None:
    run.mkdir(parents=True, exist_ok=True)
    Try.begin(run).end(outcome, error)


def checkpoint(attempt: Attempt, step: int) -> None:
    write_whole(attempt.folder / f"step-{step:09d}.pt", "weights")
    write_whole(attempt.folder / f"step-{step:09d}.sha256", "its digest")


def publish(attempt: Attempt) -> None:
    scores = Scores(miou=0.25, iou=(0.25,), scored_classes=("sky",), pixel_accuracy=0.5, pixels=7)
    evaluation = Evaluation(
        key=EVALUATION, run=KEY, dataset="scenes", dataset_digest="d", split="val", precision="fp32", step=9,
        final=True, classes=("sky",), images=1, scores=scores, seconds=1.0,
    )  # fmt: skip
    attempt.add_evaluation(evaluation, COUNTS)
    attempt.publish(
        Record(
            key=KEY, status="ok", spec=SPEC, identity={}, precision="fp32", attempt=attempt.token, final=EVALUATION
        )
    )  # fmt: skip


def test_a_run_from_waiting_to_done(run: Path) -> None:
    assert state(run) == State("waiting")
    attempt = begin(run)
    started = state(run)
    assert (started.status, started.here) == ("running", True)
    checkpoint(attempt, 5)
    attempt.claim.release()
    assert state(run) == State("interrupted", step=5)
    attempt = begin(run)
    publish(attempt)
    done = state(run)
    assert done.status == "done"
    assert done.scores is not None
    assert done.scores["scores"]["miou"] == 0.25
    assert read_state(run, ["a" * 16]).status == "waiting"  # done, but not scored so


def test_failures_count_while_the_run_gets_no_further_and_stops_never(run: Path) -> None:
    for outcome in ("interrupted", "busy", "failed", "killed"):
        tried(run, outcome, f"it {outcome}")
    assert state(run) == State("failed", failures=2, error="it killed")
    tried(run, "failed", "the last")
    assert state(run) == State("quarantined", failures=3, error="the last")
    assert state(run, tries=4).status == "failed"
    attempt = begin(run)
    checkpoint(attempt, 3)
    attempt.claim.release()
    assert state(run) == State("interrupted", step=3)  # it has got further since
    add_failure(run, "no such command")
    assert state(run) == State("failed", step=3, failures=1, error="no such command")
    forget(run)
    assert state(run) == State("interrupted", step=3)


def test_a_try_whose_process_is_gone_counts_only_if_somebody_saw_it_end(run: Path) -> None:
    run.mkdir(parents=True)
    code = (
        f"from pathlib import Path; from segrank.study.tries import Try; Try.begin(Path({str(run)!r})).note('a', 1, 2)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert state(run) == State("waiting")
    beginning = Try.begin(run)
    beginning.note("evaluate on val", 1, 8)
    seen = state(run)
    assert (seen.status, seen.here, seen.work, seen.done, seen.total) == ("running", True, "evaluate on val", 1, 8)


def test_a_pulse_changes_with_every_beat_and_progress_only_with_work(run: Path) -> None:
    attempt = begin(run)
    attempt.claim.release()
    write_whole(attempt.claim.path, json.dumps({"token": attempt.token, "machine": "elsewhere", "pid": 7}))
    heartbeat = attempt.folder / "heartbeat"
    heartbeat.write_text('{"beat": 1, "step": 4, "steps": 9}')
    first = state(run)
    assert (first.status, first.here, first.by, first.step) == ("running", None, "process 7 on elsewhere", 4)
    heartbeat.write_text('{"beat": 2, "step": 4, "steps": 9}')
    second = state(run)
    assert second.pulse != first.pulse
    assert second.progress == first.progress
    heartbeat.write_text('{"beat": 3, "step": 5, "steps": 9}')
    assert state(run).progress != first.progress


@pytest.mark.parametrize("content", ["", "[1]", '{"status": "ok"}', "\xff", "[" * 9999])
def test_a_damaged_record_is_no_record(run: Path, content: str) -> None:
    publish(begin(run))
    (run / "record.json").write_text(content, encoding="latin-1")
    assert state(run).status == "waiting"


def test_what_others_have_put_into_the_folder_raises_nothing(run: Path) -> None:
    (run / "tries").mkdir(parents=True)
    for number, content in enumerate(["{", "[]", '{"pid": "x", "machine": 3, "done": "NaN", "step": {}}', "\0"]):
        (run / "tries" / f"{number}.json").write_text(content)
    (run / "claim").write_text('{"token": "../../..", "machine": null, "pid": -1}')
    assert state(run).status == "running"  # by somebody on a machine that is not this one, as far as it says
