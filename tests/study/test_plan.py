"""`segrank plan`: what is done, what is missing, what it will take, and how far off that was."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segrank.cli import app
from segrank.record import Cost, Evaluation, Provenance, Record, Scores
from segrank.store import Store
from segrank.study.observations import place_of, took_s
from segrank.study.plan import keep_plan, plan_study
from segrank.study.planned import StudyPlan
from segrank.study.study import read_study
from segrank.study.unit import Unit, units_of

STUDY = """
about: a small one
encoders: [small:plain, small:rope, small:shallow]
settings: [base, freeze]
set: {dataset: "scenes?size=32&train=8&val=40", weights: random, crop: 32, steps: 100, batch_size: 4}
"""


@pytest.fixture(autouse=True)
def no_calibrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGRANK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY)
    return file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def finish(store: Store, unit: Unit, *, train_s: float, host: str = "") -> None:
    """What a run leaves that took so long."""
    evaluation = Evaluation(
        key=unit.evaluations[0], run=unit.key, dataset=unit.spec.dataset, dataset_digest="sha256:0", split="val",
        precision="fp32", step=100, final=True, classes=("a",), images=40, seconds=4.0,
        scores=Scores(miou=0.5, iou=(0.5,), scored_classes=("a",), pixel_accuracy=0.5, pixels=10),
    )  # fmt: skip
    record = Record(
        key=unit.key, status="ok", spec=unit.spec, identity={}, precision="fp32", step=100, attempt="0" * 12,
        final=evaluation.key, cost=Cost(train_s=train_s, data_wait_s=1.0, evaluation_s=20.0, micro_batch=4),
        provenance=Provenance(
            device="cpu", host=host or place_of("cpu").removeprefix("cpu of "), attempts=1,
            started="2026-01-01T00:00:00+00:00", finished="2026-01-01T00:02:00+00:00",
        ),
    )  # fmt: skip
    folder = store.run_folder(unit.key) / "evaluations" / evaluation.key
    folder.mkdir(parents=True)
    (store.run_folder(unit.key) / "record.json").write_text(record.to_json())
    (folder / "scores.json").write_text(evaluation.to_json())


def plan_of(study: Path, store: Store, **options: Any) -> StudyPlan:
    return plan_study(read_study(study), store=store.folder, device="cpu", **options)


def keep(study: Path, store: Store) -> None:
    """As a study does when it starts."""
    whole = read_study(study)
    keep_plan(whole, units_of(whole, device="cpu"), store=store, root=None, device="cpu")


def units(study: Path) -> tuple[Unit, ...]:
    return units_of(read_study(study), device="cpu").units


def test_finished_runs_are_done_and_tell_of_the_others(study: Path, store: Store) -> None:
    nothing = plan_of(study, store)
    assert nothing.total().unknown == nothing.total().runs == 6
    assert nothing.uncalibrated == 2  # of each setting one
    first, second, *_ = units(study)
    finish(store, first, train_s=50)
    finish(store, second, train_s=60, host="elsewhere")
    plan = plan_of(study, store)
    assert [run.status for run in plan.runs] == ["done", "done", *["waiting"] * 4]
    assert plan.runs[0].took_s == pytest.approx(71)
    assert plan.runs[0].remaining_s == 0
    # FLOPs were not counted in these records, and another machine's time tells nothing
    assert plan.runs[0].prediction.basis == "runs like it"
    assert all(run.prediction.basis == "nothing" for run in plan.runs[1:])
    seeds = study.with_name("seeds.yaml")
    seeds.write_text(STUDY + "seeds: 3\n")
    more = plan_of(seeds, store)
    like = [run for run in more.runs if run.encoder == "small:plain" and run.settings == ("base",)]
    assert [run.status for run in like] == ["done", "waiting", "waiting"]
    # 50 s of training and 1 s of waiting; 40 images in the end and 4 times as many along the way, of 0.1 s
    assert like[1].prediction.counted_s == pytest.approx(51 + 20)
    assert more.total(like).seconds == pytest.approx(2 * (71 + 49 + 4))
    assert more.total(like).wall_s == more.total(like).seconds


def test_what_is_missing_is_told_with_what_to_do(study: Path, store: Store) -> None:
    study.write_text(
        """
encoders:
  - mae-base
  - dinov2-base
  - {name: mine, encoder: "file:nowhere.py:build"}
  - {name: gone, encoder: small:plain, weights: gone.pt}
settings: [base, voc]
set: {dataset: "scenes?val=40", crop: 64}
"""
    )
    plan = plan_of(study, store)
    assert [run.status for run in plan.runs].count("missing") == 6  # all on voc, and two without their files
    needs = {need.what: (need.why, need.runs) for need in plan.needs}
    assert needs["dataset voc2012"][1] == 4
    assert "VOCtrainval" in needs["dataset voc2012"][0]
    why, runs = needs["weights of 2 encoders"]
    assert runs == 4
    assert "segrank encoders fetch mae-base dinov2-base" in why
    assert needs["weights of small:plain"][1] == 2
    assert "nowhere.py" in needs["what mine under base reads"][0]


def test_what_was_predicted_is_held_against_what_it_took(study: Path, store: Store) -> None:
    seeds = study.with_name("seeds.yaml")
    seeds.write_text(
        STUDY.replace("settings: [base, freeze]", "settings: [base]").replace(", small:rope", "") + "seeds: 4"
    )
    all_units = [unit for unit in units(seeds) if unit.encoder == "small:plain"]
    finish(store, all_units[0], train_s=50)
    keep(seeds, store)
    for unit, train_s in zip(all_units[1:], (50 + 71, 50, 50 - 71 / 2), strict=True):  # twice, once, half of 71 s
        finish(store, unit, train_s=train_s)
    plan = plan_of(seeds, store)
    [accuracy] = plan.accuracy
    assert (accuracy.basis, accuracy.runs) == ("runs like it", 3)
    assert accuracy[2:] == pytest.approx((1, 0.5, 2))
    # what a run was predicted before it was begun stands, and damage is as if nothing was kept
    keep(seeds, store)
    assert plan_of(seeds, store).accuracy == plan.accuracy
    (store.folder / "predictions" / "seeds.json").write_text("{}]")
    assert plan_of(seeds, store).accuracy == ()


def test_time_on_several_gpus_is_that_of_the_busiest(study: Path, store: Store) -> None:
    for unit in units(study)[:1]:
        finish(store, unit, train_s=50)
    plan = plan_study(read_study(study), store=store.folder, device="cuda", jobs=2)
    assert plan.place == "a GPU"
    assert plan.slots == 2
    total = plan.total()
    assert total.unknown == 6  # a CPU tells nothing of a GPU
    assert total.device_gib
    assert total.host_gib is None


def test_the_verb_prints_a_table_rows_for_runs_csv_and_json(study: Path, store: Store) -> None:
    finish(store, units(study)[0], train_s=50)
    common = ["plan", str(study), "--store", str(store.folder), "--device", "cpu"]

    def say(*arguments: str) -> str:
        done = CliRunner().invoke(app, [*common, *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    table = say()
    assert table.splitlines()[0].startswith("mine: 6 runs on cpu of ")
    assert "1 done" in table
    assert "No time is known for 5 of 5 runs." in table
    assert "--calibrate" in table
    assert "71 s" in say("--runs")  # what the finished one took
    rows = list(csv.DictReader(io.StringIO(say("--format", "csv"))))
    assert len(rows) == 6
    assert float(rows[0]["took_s"]) == pytest.approx(71)
    data = json.loads(say("--format", "json", "--set", "steps=200"))
    assert [run["status"] for run in data["runs"]] == ["waiting"] * 6
    assert data["total"]["unknown"] == 5  # seeds and steps do not change how long an image takes
    assert CliRunner().invoke(app, [*common, "--format", "xml"]).exit_code == 2


def test_a_record_that_is_damaged_took_nothing(tmp_path: Path) -> None:
    for content in (
        "",
        "[]",
        '{"cost": {"train_s": "x"}}',
        '{"status": "ok", "cost": {"train_s": -1, "data_wait_s": 0, "evaluation_s": 0}}',
    ):
        (tmp_path / "record.json").write_text(content)
        assert took_s(tmp_path) is None
