"""`segrank compare`, as a user gives it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from segrank.cli import app
from segrank.counts import CONFUSION, counts_table, scores
from segrank.files import digest
from segrank.record import Evaluation, Provenance, Record
from segrank.spec import RunSpec, identity, key_of
from segrank.store import Store

CLASSES = ("=road", "[red]sky[/]", "car")


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Encoders a and b with two seeds each, scored on images whose names are hostile."""
    found = Store(tmp_path_factory.mktemp("store"))
    images = [f"=image|{number}\x1b[31m" for number in range(6)]
    for encoder in "ab":
        for seed in range(2):
            spec = RunSpec(encoder=f"small:{encoder}", dataset="scenes", weights="random", steps=9, seed=seed)
            identified = identity(spec, {"dataset": f"sha256:{digest('scenes')}"}, "fp32")
            attempt = found.begin(key_of(identified), spec)
            assert attempt is not None
            truth = np.random.default_rng(0).integers(500, 900, (6, 3))
            own = np.random.default_rng([ord(encoder), seed]).random((6, 3)) / 9
            hits = (truth * (own + (0.8 if encoder == "a" else 0.4))).astype(np.int64)
            counts = np.zeros((6, 3, 3), np.int64)
            for index in range(3):
                counts[:, index, index] = hits[:, index]
                counts[:, index, (index + 1) % 3] = (truth - hits)[:, index]
            evaluation = Evaluation(
                key=digest(f"{encoder}{seed}")[:16], run=attempt.key, dataset="scenes", dataset_digest="sha256:0",
                split="val", precision="fp32", step=9, final=True, classes=CLASSES, images=6,
                scores=scores(counts.sum(axis=0), CLASSES), seconds=1,
            )  # fmt: skip
            attempt.add_evaluation(evaluation, counts_table(images, [{CONFUSION: matrix} for matrix in counts]))
            attempt.publish(
                Record(
                    key=attempt.key, status="ok", spec=spec, identity=identified, precision="fp32", step=9,
                    attempt=attempt.token, provenance=Provenance(device="cpu"), final=evaluation.key,
                )
            )  # fmt: skip
    return found


def test_words_first_then_score_classes_images_and_what_is_not_covered(store: Store) -> None:
    text = call("small:a*", "small:b*", store.folder, "--resamples", 200, "--most", 2)
    lines = text.splitlines()
    assert lines[0].startswith("small:a with random weights is better than small:b with random weights by ")
    assert "\x1b" not in text
    assert "[red]sky[/]" in text
    assert "Shown are the 2 classes that differ most: --format csv has all." in text
    assert "corrected for their number (Holm), 3." in text
    assert "Intervals: 95%, over 6 images (200 paired resamples) and 2 paired seeds." in text
    markdown = call("small:a*", "small:b*", store.folder, "--resamples", 200, "--format", "markdown")
    assert r"=image\|" in markdown
    assert "\x1b" not in markdown


def test_csv_has_the_score_every_class_and_every_image_and_no_formula(store: Store) -> None:
    text = call("small:a*", "small:b*", store.folder, "--resamples", 200, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["of"] for row in rows] == ["score"] + 3 * ["class"] + 6 * ["image"]
    assert {row["name"][:2] for row in rows} == {"mi", "'=", "[r", "ca"}
    whole = rows[0]
    assert float(whole["difference"]) == pytest.approx(float(whole["a"]) - float(whole["b"]))
    assert float(whole["difference"]) == pytest.approx(np.mean([float(row["difference"]) for row in rows[1:4]]))


def test_json_names_the_runs(store: Store) -> None:
    data = json.loads(call("small:a*", "small:b*", store.folder, "--resamples", 200, "--format", "json"))
    (part,) = data["parts"]
    for side in ("a", "b"):
        assert part[side]["score"] == pytest.approx(np.mean([run["score"] for run in part[side]["runs"]]))
        assert {run["run"] for run in part[side]["runs"]} <= set(store.run_keys())
    assert data["options"]["resamples"] == 200
    assert len(part["deciding"]["images"]) == 6


def test_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("net;task;err\nx;one;3\ny;one;2\nx;two;1\ny;two;9\n")
    given = [path, "--delimiter", ";", "--column", "encoder=net", "--column", "dataset=task", "--metric", "err:lower"]
    assert call("x", "y", *given, "--where", "dataset=one").startswith("y is ahead of x by 1.00 err. Whether that is")
    text = call("x", "y", *given, "--across", "dataset")
    assert "On one: y is ahead of x by 1.00 err." in text
    assert "On two: x is ahead of y by 8.00 err." in text
    assert "is not one of table, csv, json, markdown" in call("x", "y", *given, "--format", "html", code=2)
