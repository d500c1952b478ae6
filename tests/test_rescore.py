"""Further evaluations of one small finished run: what they count, and what is not done twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from segrank import rescore
from segrank.counts import BOUNDARY, CALIBRATION, CONFUSION, confusion
from segrank.data import open_dataset
from segrank.errors import SpecError
from segrank.evaluate.corruptions import Corruption, corrupt
from segrank.evaluate.score import plan_evaluation, score
from segrank.evaluate.sliding import predict
from segrank.progress import Reporter, Silent
from segrank.record import Evaluation, Record, load
from segrank.rescore import evaluate_corrupted, evaluate_run, load_segmenter
from segrank.robustness import robustness
from segrank.runner import run
from segrank.spec import SCHEMA, RunSpec, key_of
from segrank.store import Store

DATASET = "scenes?size=32&train=24&val=6"


class Finished:
    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        (self.key,) = self.store.run_keys()

    @property
    def record(self) -> Record:
        record = self.store.published(self.key)
        assert record is not None
        return record


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = RunSpec(
        encoder="small:shallow", weights="random", dataset=DATASET, crop=(32, 32), patch_size=8, steps=4, batch_size=4
    )
    store = tmp_path_factory.mktemp("store")
    run(spec, store=store)
    return store


@pytest.fixture
def finished(once: Path, tmp_path: Path) -> Finished:
    return Finished(shutil.copytree(once, tmp_path / "store"))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the evaluations that the network was asked for."""
    keys: list[str] = []

    def counted(fabric: object, segmenter: object, split: object, plan: object, **options: object) -> object:
        keys.append(plan.key)  # type: ignore[attr-defined]
        return score(fabric, segmenter, split, plan, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(rescore, "score", counted)
    return keys


def test_kept_predictions_are_those_that_were_counted(finished: Finished) -> None:
    final = finished.record.evaluation
    assert final is not None
    split = open_dataset(DATASET, None).split("val")
    kept = finished.store.predictions(final)
    assert [(one.place, one.name) for one in kept] == list(enumerate(split.names))
    counts = finished.store.counts(final)
    for one in kept:  # images are small, so nothing was left out
        table = counts.filter(kind=CONFUSION, image=one.name)
        found = confusion(split[one.place].labels, one.labels, len(final.classes))
        assert dict(zip(zip(table["a"], table["b"], strict=True), table["pixels"], strict=True)) == {
            (a, b): found[a, b] for a, b in np.argwhere(found).tolist()
        }
    along = [one for one in finished.record.evaluations if not one.final]
    assert along
    assert not any(finished.store.predictions(one) for one in along)


def test_further_counts_come_with_the_same_confusions_and_are_made_once(finished: Finished, made: list[str]) -> None:
    plain = finished.record.evaluation
    assert plain is not None
    boundary = evaluate_run(finished.store, finished.record, also=["boundary"])
    both = evaluate_run(finished.store, finished.record, also=["calibration", "boundary"])
    assert (boundary.also, both.also) == (("boundary",), ("boundary", "calibration"))
    assert len({plain.key, boundary.key, both.key}) == 3
    assert plain.scores == boundary.scores == both.scores
    tables = [finished.store.counts(evaluation) for evaluation in (plain, boundary, both)]
    assert all(table.filter(kind=CONFUSION).equals(tables[0]) for table in tables)
    assert set(tables[1]["kind"]) == {CONFUSION, BOUNDARY}
    assert tables[2].filter(kind=CALIBRATION)["pixels"].sum() == plain.scores.pixels

    assert made == [boundary.key, both.key]
    assert evaluate_run(finished.store, finished.record, also=["calibration"]) == both  # it counted more
    assert evaluate_run(finished.store, finished.record) == plain
    assert len(made) == 2


def test_what_cannot_be_counted_is_said(finished: Finished) -> None:
    with pytest.raises(SpecError, match='"edges" cannot be counted'):
        evaluate_run(finished.store, finished.record, also=["edges"])


class StopAfter(Silent):
    """Stops, as Ctrl-C does, when so many images were evaluated."""

    def __init__(self, images: int) -> None:
        self.left = images

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_corrupted_splits_go_on_where_they_were_stopped(finished: Finished, made: list[str]) -> None:
    before = len(finished.record.evaluations)

    def go(reporter: Reporter | None = None) -> list[Evaluation]:
        return evaluate_corrupted(
            finished.store,
            finished.record,
            kinds=["gaussian_noise", "contrast"],
            severities=[5, 1],
            reporter=reporter,
        )

    with pytest.raises(KeyboardInterrupt):
        go(StopAfter(2 * 6 + 3))  # in the middle of the third of four
    assert len(robustness(finished.record.evaluations)[0].cells) == 2
    evaluations = go()
    assert [(e.corruption, e.severity) for e in evaluations] == [
        ("gaussian_noise", 1), ("gaussian_noise", 5), ("contrast", 1), ("contrast", 5),
    ]  # fmt: skip
    assert len(made) == 3 + 2
    assert go() == evaluations
    assert len(made) == 5

    (found,) = robustness(finished.record.evaluations)
    assert found.clean == finished.record.evaluation
    assert found.mean == pytest.approx(np.mean([e.scores.miou for e in evaluations]))
    assert sorted(file.name for file in finished.store.run_folder(finished.key).rglob("*") if file.is_file()) == sorted(
        ["spec.json", "record.json", "log.jsonl", "weights.safetensors"]
        + ["predictions.npz"]  # of the run's own evaluation alone
        + ["scores.json", "counts.parquet"] * (before + 4)
    )


def test_a_corrupted_evaluation_is_of_the_spoilt_images(finished: Finished) -> None:
    (evaluation,) = evaluate_corrupted(finished.store, finished.record, kinds=["shot_noise"], severities=[4])
    segmenter = load_segmenter(finished.store, finished.record, len(evaluation.classes))
    total = 0
    for sample in map(open_dataset(DATASET).split("val").__getitem__, range(6)):
        image = corrupt(sample.image, Corruption("shot_noise", 4), sample.name)
        prediction = predict(segmenter, image, (32, 32), device=next(segmenter.parameters()).device)
        total += confusion(sample.labels, prediction, len(evaluation.classes)).trace()
    assert evaluation.scores.pixel_accuracy == pytest.approx(total / evaluation.scores.pixels, abs=1e-12)


def test_what_is_not_asked_for_is_not_in_the_key() -> None:
    what = {"run": "0" * 16, "split": "val", "precision": "fp32", "step": 3}
    plain = plan_evaluation(**what, dataset="scenes", digest="sha256:d")  # type: ignore[arg-type]
    assert plain.key == key_of({"schema": SCHEMA, "dataset": "sha256:d", "images": None, **what})
    others = [
        plan_evaluation(**what, dataset="scenes", digest="sha256:d", **more)  # type: ignore[arg-type]
        for more in (
            {"also": ["boundary"]},
            {"also": ["calibration"]},
            {"also": ["calibration", "boundary"]},
            {"corruption": Corruption("jpeg", 1)},
            {"corruption": Corruption("jpeg", 2)},
            {"corruption": Corruption("contrast", 1)},
        )
    ]
    assert len({plan.key for plan in (plain, *others)}) == 7


def test_an_evaluation_from_before_is_read(finished: Finished) -> None:
    evaluation = finished.record.evaluation
    assert evaluation is not None
    old = {k: v for k, v in json.loads(evaluation.to_json()).items() if k not in ("also", "corruption", "severity")}
    assert load(Evaluation, json.dumps(old), "old") == evaluation
