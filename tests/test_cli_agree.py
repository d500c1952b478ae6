"""`segrank agree` and `segrank recommend`, as a user gives them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segrank.cli import app

HOSTILE = ["=1+1", "+1", "@SUM(A1)", "a|b", "[red]x[/]", "esc\x1b[31m"]


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "results.jsonl"
    rows = [
        {"encoder": name, "setting": setting, "seed": seed, "train_hours": hours,
         "miou": at + 0.1 * seed + (3 if setting == "=frozen" and at == 0 else 0)}
        for at, name in enumerate(HOSTILE)
        for setting, hours in (("full", 8), ("=frozen", 1))
        for seed in range(2)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_agree_tells_in_words_and_tables(table: Path) -> None:
    shown = call("agree", table)
    # the first moves before the second and third, and ties with the fourth
    assert shown.startswith("tau between =frozen and full is 0.69, 95% interval ")
    assert "Places won and lost" in shown
    assert "\x1b" not in shown
    assert "[red]x[/]" in shown
    assert "\x1b" not in call("agree", table, "--format", "markdown")


def test_agree_as_data(table: Path) -> None:
    data = json.loads(call("agree", table, "--format", "json", "--seed", 2))
    (pair,) = data["pairs"]
    frozen = next(of for of in data["settings"] if of["name"] == "=frozen")
    assert frozen["encoders"]["a|b"]["runs"] == [{"run": "line 15", "seed": 0}, {"run": "line 16", "seed": 1}]
    assert {flip["a"] for flip in pair["flips"]} == {"=1+1"}
    (row,) = csv.DictReader(io.StringIO(call("agree", table, "--format", "csv")))
    assert row["x"] == "'=frozen"
    assert float(row["tau"]) == pytest.approx(pair["tau"])
    assert row["flips"] == "2"


def test_recommend(table: Path) -> None:
    shown = call("recommend", table, "--target", "setting=full", "--tau", 0.5, "--most", 1)
    assert shown.startswith("No protocol cheaper than full is shown to have a tau of 0.5 or more with full")
    assert "at 12.5 % of its training hours" in shown
    data = json.loads(call("recommend", table, "--target", "full", "--tau", 0.5, "--format", "json"))
    assert (data["chosen"], data["shown"], data["unit"]) == (["=frozen"], False, "training hours")
    (row,) = csv.DictReader(io.StringIO(call("recommend", table, "--target", "full", "--format", "csv")))
    assert (row["protocols"], row["cost"], row["of_target"]) == ("'=frozen", "2.0", "0.125")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["agree", "--format", "html"], "is not one of table, csv, json, markdown"),
        (["recommend"], "say whose order is to be kept"),
        (["recommend", "--target", "full", "--most", "4"], "Invalid value for"),
    ],
)
def test_options_out_of_range(table: Path, arguments: list[str], message: str) -> None:
    assert message in call(arguments[0], table, *arguments[1:], code=2)
