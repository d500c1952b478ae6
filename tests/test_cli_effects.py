"""`segrank effects`, as a user gives it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segrank.cards import CARDS
from segrank.cli import app


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["effects", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """Ten encoders by their cards' names, frozen and not; abstract targets gain ten points."""
    path = tmp_path / "paper.csv"
    cards = [card for card in CARDS.values() if card.in_paper and card.size == "base"]
    lines = ["encoder,freeze,miou"]
    for at, card in enumerate(cards):
        score = 0.4 + 0.1 * (card.mim == "abstract") + 0.001 * (at * 7 % 10)
        lines += [f"{card.name},false,{score}", f"{card.name},true,{score - 0.05 - 0.001 * (at * 3 % 10)}"]
    path.write_text("\n".join(lines))
    return path


def test_words_first_then_tables_then_what_to_know(paper: Path) -> None:
    lines = call(paper, "--where", "freeze=false", "--factor", "abstract").splitlines()
    assert lines[0].startswith("1 of 1 effects on mIoU hold among 10 families of encoders: masked image modelling of")
    assert "Effects on mIoU" in lines[1]
    assert lines[3].split()[-1] == "shown"
    assert "sam-base" in "\n".join(lines)
    assert "An effect on these encoders is no proof of its cause" in "\n".join(lines)


def test_json_names_the_runs_behind_every_number(paper: Path) -> None:
    data: dict[str, Any] = json.loads(call(paper, "--across", "freeze", "--format", "json"))
    assert data["families"]["SAM"]["encoders"] == ["sam-base"]
    assert len(data["families"]["SAM"]["runs"]) == 2
    kinds = {(effect["kind"], effect["response"]) for effect in data["effects"]}
    assert kinds == {(k, r) for k in ("card", "interaction") for r in ("score", "rank")} | {("setting", "score")}
    step = next(step for step in data["steps"] if step["lineage"]["child"] == "sam-base")
    assert (step["verdict"], step["interval"], len(step["runs"])) == ("unknown", None, 2)
    assert set(data["additivity"]) == {"score", "rank"}


def test_csv_holds_numbers_as_computed_and_no_formula(paper: Path, tmp_path: Path) -> None:
    given = [paper, "--where", "freeze=false", "--factor", "abstract", "--format", "csv"]
    rows = list(csv.DictReader(io.StringIO(call(*given))))
    by_response = {row["response"]: row for row in rows if row["kind"] == "card"}
    assert float(by_response["score"]["low"]) < 0.1 < float(by_response["score"]["high"])
    assert by_response["score"]["permutations"] == "210"
    hostile = tmp_path / "hostile.csv"
    hostile.write_text("encoder,=kind,miou\n" + "".join(f"e{n},{'=1+1' if n % 2 else '@x'},{n}\n" for n in range(6)))
    cells = [
        cell for row in csv.reader(io.StringIO(call(hostile, "--factor", "=kind", "--format", "csv"))) for cell in row
    ]
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]


def test_settings_that_differ_are_refused_until_they_are_named(paper: Path) -> None:
    result = CliRunner().invoke(app, ["effects", str(paper)])
    assert "--across freeze" in str(result.exception)


def test_a_format_that_there_is_not(paper: Path) -> None:
    assert "is not one of table, csv, json, markdown" in call(paper, "--format", "html", code=2)
