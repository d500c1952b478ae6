"""`segrank diagnose`, as a user gives it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_store import add_run, confusions, evaluation_of
from typer.testing import CliRunner

from segrank.cli import app
from segrank.counts import CONFUSION, counts_table, scores
from segrank.data import open_dataset
from segrank.ranking.patch_ceiling import patch_ceiling
from segrank.store import Store

SCENES = "scenes?size=32x32&val=4"


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["diagnose", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One option that does not arrive, on scenes that can be drawn."""
    folder = tmp_path_factory.mktemp("study")
    store, same = Store(folder), confusions(0.7, "same")
    for lr in (1e-3, 1e-2):
        add_run(store, "a", counts=same, lr=lr, dataset=SCENES, crop=(32, 32), patch_size=8)
        add_run(store, "b", lr=lr, dataset=SCENES, crop=(32, 32), patch_size=8, accuracy=lr * 50)
    return folder


def test_the_sign_comes_first_and_names_its_runs(study: Path) -> None:
    output = call(study)
    assert output.splitlines()[0].startswith("1 of ")
    assert "Seen: an option without effect" in output.splitlines()[0]
    assert "differ in lr (0.001, 0.01)" in output
    assert "Runs: " in output


def test_json_and_csv(study: Path) -> None:
    data: dict[str, Any] = json.loads(call(study, "--format", "json"))
    first = data["findings"][0]
    assert (first["verdict"], len(first["runs"])) == ("seen", 2)
    rows = list(csv.DictReader(io.StringIO(call(study, "--format", "csv"))))
    assert [row["name"] for row in rows] == [finding["name"] for finding in data["findings"]]


def test_the_ceiling_is_read_from_the_label_maps_that_were_scored(study: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["diagnose", str(study), "--ceiling", "2"])
    assert "is not what the runs were scored on" in str(result.exception)
    scenes = open_dataset(SCENES)
    store = Store(tmp_path)
    run = add_run(store, "a", dataset=SCENES, crop=(32, 32), patch_size=8)
    record = store.published(run)
    assert record is not None
    counts = np.tile(np.diag(np.full(len(scenes.classes), 90)), (4, 1, 1))
    counts[:, 0, 1] = 10
    real = scenes.split("val").digest()
    evaluation = evaluation_of(run, confusions(0.9, images=4), spec=record.spec, split="val").model_copy(
        update={
            "classes": scenes.classes,
            "scores": scores(counts.sum(axis=0), scenes.classes),
            "dataset_digest": real,
            "key": "0123456789abcdef",
        }
    )
    store.add_evaluation(evaluation, counts_table(list("abcd"), [{CONFUSION: matrix} for matrix in counts]))
    output = call(tmp_path, "--ceiling", 3, "--where", f"eval_digest={real}")
    expected = patch_ceiling([scenes.split("val")[at].labels for at in (0, 1, 2)], scenes.classes, (32, 32), 8)
    assert f"one label for each patch would have {100 * expected.miou:.2f}" in output


def test_what_there_are_no_data_for_is_not_spoken_of(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("encoder,miou\na,1\nb,2\n")
    assert call(path).startswith("There are no data for any diagnostic")
    assert "a table does not say which images" in call(path, "--ceiling", 3, code=2)
    assert "--root is for --ceiling" in call(path, "--root", tmp_path, code=2)
