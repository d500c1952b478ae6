"""`segrank rank`, as a user gives it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segrank.cli import app

HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "<script>alert(1)</script>", "a|b", "[red]x[/]", "esc\x1b[31m", "`rm`"]


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["rank", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    path = tmp_path / "seeds.csv"
    rows = [("a", 0, 0.5), ("a", 1, 0.52), ("b", 0, 0.4), ("b", 1, 0.41), ("c", 0, 0.9)]
    path.write_text("encoder,seed,miou\n" + "".join(f"{e},{s},{m}\n" for e, s, m in rows))
    return path


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    path = tmp_path / "hostile.jsonl"
    path.write_text("\n".join(json.dumps({"encoder": name, "miou": i}) for i, name in enumerate(HOSTILE)))
    return path


def test_a_table_for_people(seeds: Path) -> None:
    lines = call(seeds).splitlines()
    assert lines[0].startswith("a leads with mIoU 0.5100, before b with 0.4050.")
    assert lines[1].split() == [
        "rank",
        "encoder",
        "mIoU",
        "95%",
        "interval",
        "ranks",
        "P(best)",
        "group",
        "seeds",
        "note",
    ]
    assert [line.split()[:2] for line in lines[2:4]] == [["1", "a"], ["2", "b"]]
    assert lines[4].split()[:3] == ["c", "0.9000", "1"]
    assert "1 of 2 seeds" in lines[4]
    assert "no counts per image" in "\n".join(lines[5:]).lower()


def test_json_names_the_runs_behind_every_number(seeds: Path) -> None:
    data: dict[str, Any] = json.loads(call(seeds, "--format", "json", "--seed", 3, "--resamples", 200))
    (board,) = data["boards"]
    first = board["entries"][0]
    assert [(run["run"], run["seed"], run["score"]) for run in first["runs"]] == [
        ("line 2", 0, 0.5), ("line 3", 1, 0.52),
    ]  # fmt: skip
    assert board["incomplete"][0]["runs"][0]["run"] == "line 6"
    assert data["options"] == {"level": 0.95, "resamples": 200, "seed": 3, "group_images": ""}
    assert (board["covers"], data["overall"]) == (["seeds"], None)


def test_csv_holds_numbers_as_computed_and_no_formula(seeds: Path, hostile: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(call(seeds, "--format", "csv"))))
    assert [(row["rank"], row["encoder"], row["miou"], row["seeds"]) for row in rows] == [
        ("1", "a", "0.51", "2"), ("2", "b", "0.405", "2"), ("", "c", "0.9", "1"),
    ]  # fmt: skip
    assert float(rows[0]["low"]) < 0.51 < float(rows[0]["high"])
    names = [row["encoder"] for row in csv.DictReader(io.StringIO(call(hostile, "--format", "csv")))]
    assert not [name for name in names if name[0] in "=+-@"]
    assert {"'=1+1", "'+1", "'-1", "'@SUM(A1)"} <= set(names)


def test_names_are_text_wherever_they_are_shown(hostile: Path) -> None:
    for form in ("table", "markdown"):
        shown = call(hostile, "--format", form)
        assert "\x1b" not in shown
    assert "[red]x[/]" in call(hostile)
    markdown = call(hostile, "--format", "markdown")
    assert r"\<script\>" in markdown
    assert r"a\|b" in markdown
    assert {line.replace(r"\|", "").count("|") for line in markdown.splitlines() if line.startswith("|")} == {5}


def test_metric_where_and_columns_arrive(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("net;task;err\nx;one;3\ny;one;2\nx;two;1\ny;two;9\n")
    given = [path, "--delimiter", ";", "--column", "encoder=net", "--column", "dataset=task", "--metric", "err:lower"]
    assert call(*given, "--where", "dataset=one").startswith("y leads with err 2.00")
    overall = call(*given, "--across", "dataset")
    assert overall.startswith("All 2 encoders have the same overall score.")
    assert "Weights: one 0.5, two 0.5." in overall
    assert call(*given[:-1], "err:higher", "--where", "dataset=one").startswith("x leads")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--format", "html"], "is not one of table, csv, json, markdown"), (["--resamples", "5"], "Invalid value for")],
)
def test_options_out_of_range(seeds: Path, arguments: list[str], message: str) -> None:
    assert message in call(seeds, *arguments, code=2)


def test_options_of_files_are_not_taken_for_a_store(tmp_path: Path) -> None:
    assert "are for files" in call(tmp_path, "--column", "encoder=x", code=2)
