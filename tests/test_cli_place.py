"""`segrank place`, as a user gives it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segrank.cli import app


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["place", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known.csv"
    rows = [("=best", 0.9), ("[red]x[/]", 0.6), ("worst|", 0.3)]
    lines = [f"{name},{seed},{mean + 0.01 * (seed - 1)}" for name, mean in rows for seed in range(3)]
    path.write_text("encoder,seed,miou\n" + "\n".join([*lines, "new,1,0.605"]) + "\n")
    return path


def test_words_first(known: Path) -> None:
    text = call("new", known)
    assert text.splitlines()[0] == (
        "new is 2nd of 4 by its score; its true rank may be any from 2 to 3 (95%). It is better than worst|; "
        "worse than =best; not separable from [red]x[/]."
    )
    assert "One seed of new: its spread is taken from the other encoders" in text
    assert "another protocol may order encoders otherwise" in text


def test_csv_json_and_markdown(known: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(call("new", known, "--format", "csv"))))
    assert [(row["encoder"], row["new_is"]) for row in rows] == [
        ("new", ""), ("'=best", "worse"), ("[red]x[/]", "not separable"), ("worst|", "better"),
    ]  # fmt: skip
    assert (rows[0]["rank_low"], rows[0]["rank_high"]) == ("2", "3")
    data = json.loads(call("new", known, "--format", "json"))
    (part,) = data["parts"]
    assert [run["run"] for run in part["runs"]] == ["line 11"]
    assert [len(rival["runs"]) for rival in part["rivals"]] == [3, 3, 3]
    assert r"worst\|" in call("new", known, "--format", "markdown")
    assert "is not one of table, csv, json, markdown" in call("new", known, "--format", "html", code=2)
