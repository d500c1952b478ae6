"""From a list of specs to records, and what is kept of a study. The engine here does its jobs at once, torchless."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from at_once import AtOnce
from light_run import Lines
from typer.testing import CliRunner

import segrank
from segrank.cli import app
from segrank.errors import ClaimError, SegrankError, SpecError, StoreError
from segrank.record import Record
from segrank.spec import RunSpec
from segrank.store import Store
from segrank.study.bringing_home import work_command
from segrank.study.coordinator import Care, Coordinator
from segrank.study.executor import Job
from segrank.study.local import LocalExecutor
from segrank.study.manifest import read_manifest, study_names
from segrank.study.run_study import Quiet, StudyResult, run_study
from segrank.study.state import read_state
from segrank.study.study import read_study, study_of
from segrank.study.tries import add_failure, read_tries
from segrank.study.unit import units_of
from segrank.study.work import BUSY, DONE, STOPPED, work

SPEC = RunSpec(
    encoder="small:shallow", weights="random", dataset="scenes?size=32&train=8&val=4", crop=(32, 32), patch_size=8,
    steps=3,
)  # fmt: skip
SPECS = [SPEC, SPEC.replace(freeze=True), SPEC.replace(seed=1)]


def do(store: Path, study: Any = SPECS, engine: AtOnce | None = None, **options: Any) -> StudyResult:
    return run_study(study, store=store, device="cpu", executor=engine or AtOnce(), **options)


def test_a_list_of_specs_is_a_study_and_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    engine = AtOnce()
    result = do(tmp_path, engine=engine)
    assert segrank.run_study is run_study
    assert result.ok
    assert not result.stopped
    assert [record.spec.seed for record in result.records()] == [0, 0, 1]
    assert [unit.settings for unit in result.units] == [("freeze=False",), ("freeze=True",), ("freeze=False",)]
    assert sorted(engine.started) == sorted(unit.key for unit in result.units)
    again = AtOnce()
    assert do(tmp_path, SPECS[::-1], again).ok  # in another study they are the same runs
    assert again.started == []


def test_one_run_that_is_to_be_scored_in_two_ways_is_trained_once(tmp_path: Path) -> None:
    engine = AtOnce()
    result = do(tmp_path, [SPEC, SPEC.replace(eval_split="shift")], engine)
    assert result.ok
    [record] = result.records()
    assert engine.started == [record.key] * 2
    assert {evaluation.split for evaluation in record.evaluations} == {"val", "shift"}


def test_shards_share_out_the_runs(tmp_path: Path) -> None:
    parts = [do(tmp_path, shard=(i, 2)) for i in (1, 2)]
    assert [len(part.units) for part in parts] == [2, 1]
    assert len({unit.key for part in parts for unit in part.units}) == 3
    assert len(read_manifest(Store(tmp_path), "specs").units) == 3
    for wrong in ((0, 2), (3, 2)):
        with pytest.raises(SpecError, match="1 <= i <= n"):
            do(tmp_path, shard=wrong)


def test_different_runs_with_the_same_scores_raise_an_alarm(tmp_path: Path) -> None:
    assert do(tmp_path / "different").alarms == ()
    board = Lines()
    [alarm] = do(tmp_path / "same", engine=AtOnce(same_score=True), board=board).alarms
    assert "differ in freeze, seed and have the same scores" in alarm
    assert "one class only" in alarm
    assert f"alarm: {alarm}" in board.said


def test_quarantined_runs_are_left_alone_until_they_are_forgiven(tmp_path: Path) -> None:
    key = units_of(study_of(SPECS), device="cpu").units[1].key
    run = Store(tmp_path).run_folder(key)
    run.mkdir(parents=True)
    for _ in range(2):
        add_failure(run, "it crashed")
    engine = AtOnce()
    result = do(tmp_path, engine=engine, tries=2)
    assert [state.status for state in result.states] == ["done", "quarantined", "done"]
    assert not result.ok
    assert key not in engine.started
    assert do(tmp_path, engine=engine, tries=2, retry=True).ok
    assert engine.started[-1] == key


def test_an_engine_that_starts_nothing_ends_the_study_with_its_error(tmp_path: Path) -> None:
    class Broken(AtOnce):
        def start(self, jobs: Sequence[Job]) -> None:
            self.started += [job.key for job in jobs]
            raise SegrankError("no scheduler here")

    engine, units = Broken(), units_of(study_of(SPECS), device="cpu").units
    coordinator = Coordinator(units, Store(tmp_path), engine, work_command_here(), Quiet(), Care(pause_s=0.0))
    with pytest.raises(SegrankError, match="no scheduler"):
        coordinator.run(lambda: False)
    assert len(engine.started) > len(units)


# ---------------------------------------------------------------- what is kept, and what is said of it


def test_status_tells_of_a_study_from_its_store_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        'encoders: ["small:shallow", {name: lost, encoder: "file:lost.py:build"}]\nsettings: [base, freeze]\n'
        'set: {dataset: "scenes?size=32&train=8&val=4", weights: random, crop: 32, patch_size: 8}\n'
    )
    store = tmp_path / "store"
    result = do(store, file)
    assert len(result.missing) == 2
    assert not result.ok
    manifest = read_manifest(Store(store), "mine")
    assert manifest.source == file.read_text()
    assert manifest.units == result.units
    said = status(store)
    assert "mine: 2 runs: 2 done; best mIoU" in said
    assert "missing: lost, base; lost, freeze: EncoderError" not in said
    assert "missing: lost, base; lost, freeze:" in said
    add_failure(Store(store).run_folder(result.units[0].key), "not shown, since it is done")
    assert "not shown" not in status(store)
    do(store)
    assert study_names(Store(store)) == ["mine", "specs"]
    assert [line.split(":")[0] for line in status(store).splitlines()] == ["mine", "specs"]


def status(store: Path, *more: str) -> str:
    done = CliRunner().invoke(app, ["status", *more, "--store", str(store)])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_store_without_studies_and_a_name_that_is_none(tmp_path: Path) -> None:
    assert "no study was begun" in status(tmp_path)
    do(tmp_path)
    for name, said in [("spec", 'did you mean "specs"'), ("../specs", "one of specs")]:
        with pytest.raises(StoreError, match=said):
            read_manifest(Store(tmp_path), name)


@pytest.mark.parametrize("damage", ["", "[]", '{"schema": 1}', '{"schema": 99}', "KEY"])
def test_a_damaged_manifest_is_named_and_written_anew(tmp_path: Path, damage: str) -> None:
    do(tmp_path)
    path = tmp_path / "studies" / "specs.json"
    content = json.loads(path.read_text())
    content["cells"][0]["key"] = "../../outside"
    path.write_text(json.dumps(content) if damage == "KEY" else damage)
    with pytest.raises(StoreError, match=r"specs\.json (is damaged|has schema 99)"):
        read_manifest(Store(tmp_path), "specs")
    do(tmp_path)
    assert len(read_manifest(Store(tmp_path), "specs").units) == 3


# ---------------------------------------------------------------- the command that is started


def work_command_here(**changes: Any) -> Any:
    options: dict[str, Any] = {
        "root": None, "device": "cpu", "devices": 1, "workers": None, "micro_batch": None, "checkpoint_every_s": 300.0,
        "keep_weights": True,
    }  # fmt: skip
    return work_command(**{**options, **changes})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"root": "/data", "device": "cuda", "devices": 2, "workers": 3, "micro_batch": 4, "checkpoint_every_s": 1.5},
        {"keep_weights": False},
    ],
)
def test_every_option_of_a_study_arrives_at_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    import segrank.study.work as module

    seen: dict[str, Any] = {}

    def fake(run: Path, *, reporter: object, **how: Any) -> int:
        seen.update(run=run, **how)
        return BUSY

    monkeypatch.setattr(module, "work", fake)
    python, dash_m, name, *arguments = work_command_here(**given)(tmp_path)
    assert [python, dash_m, name] == [sys.executable, "-m", "segrank"]
    assert CliRunner().invoke(app, arguments).exit_code == BUSY
    expected = {
        "run": tmp_path, "root": None, "device": "cpu", "devices": 1, "workers": None, "micro_batch": None,
        "checkpoint_every_s": 300.0, "keep_weights": True, **given,
    }  # fmt: skip
    expected["root"] = Path(expected["root"]) if expected["root"] else None
    assert seen == expected


@pytest.mark.parametrize(
    ("ends", "code", "outcome"),
    [
        ("ok", DONE, None),
        ("interrupted", STOPPED, "interrupted"),
        (ClaimError("somebody is at it"), BUSY, "busy"),
        (SegrankError("no good"), None, "failed"),
        (ZeroDivisionError("a bug"), None, "failed"),
        (KeyboardInterrupt(), None, "interrupted"),
    ],
)
def test_work_leaves_a_try_that_says_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: Any, code: int | None, outcome: str | None
) -> None:
    [unit] = units_of(study_of([SPEC]), device="cpu").units
    run = Store(tmp_path).run_folder(unit.key)
    run.mkdir(parents=True)
    (run / "spec.json").write_text(unit.spec.model_dump_json())

    def fake(spec: RunSpec, **how: Any) -> Any:
        assert (spec, how["key"], how["store"]) == (unit.spec, unit.key, tmp_path)
        how["reporter"].advance("train", 1, 3)
        assert read_state(run, unit.evaluations).work == "train"
        if isinstance(ends, BaseException):
            raise ends
        return Record(key=unit.key, status=ends, spec=spec, identity={}, precision="fp32", attempt="0" * 12)

    monkeypatch.setattr(sys.modules[segrank.run.__module__], "run", fake)
    if code is None:
        with pytest.raises(type(ends)):
            work(run, reporter=segrank.progress.Silent())
    else:
        assert work(run, reporter=segrank.progress.Silent()) == code
    tries = list(read_tries(run).values())
    assert [one["outcome"] for one in tries] == ([outcome] if outcome else [])
    if outcome == "failed":
        assert tries[0]["error"].startswith(f"{type(ends).__name__}: {ends}")
        assert ("test_run_study.py" in tries[0]["error"]) == isinstance(ends, ZeroDivisionError)


def test_gpus_are_shared_out_one_run_each_unless_more_are_asked_for() -> None:
    def given(**options: Any) -> list[str | None]:
        executor = LocalExecutor(**options)
        return [executor._environment(slot).get("CUDA_VISIBLE_DEVICES") for slot in range(executor.slots)]

    four = ["0", "1", "2", "3"]
    assert given(gpus=four) == four
    assert given(gpus=four, gpus_each=2) == ["0,1", "2,3"]
    assert given(gpus=four[:3], gpus_each=2) == ["0,1"]
    assert given(gpus=four[:2], jobs=4) == ["0", "1", "0", "1"]
    assert LocalExecutor().slots == 1
    with pytest.raises(SpecError, match="3 GPUs"):
        LocalExecutor(gpus=four[:2], gpus_each=3)


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    from segrank.study import local

    monkeypatch.setattr(local, "_cpus", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert "OMP_NUM_THREADS" not in LocalExecutor()._environment(0)
    assert LocalExecutor(jobs=3)._environment(0)["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert LocalExecutor(jobs=3)._environment(2)["OMP_NUM_THREADS"] == "1"


def test_a_study_from_its_file_keeps_its_text(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("{encoders: mae-base, set: {dataset: ade20k}}")
    assert read_study(file).source == file.read_text()
    assert replace(study_of([SPEC]), name="x").name == "x"
