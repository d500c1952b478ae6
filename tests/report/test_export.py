"""A study as files: LaTeX, Markdown, CSV, Parquet, JSON and pictures, as a user asks for them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from segrank.cli import app
from segrank.ranking.leaderboard import Options
from segrank.ranking.results_file import read_results_file
from segrank.report.export import export
from segrank.report.sheets.scores import scores_sheet
from segrank.report.sheets.written import csv_text, latex, latex_table
from segrank.report.study import Study, read_study

NAMES = ["lead", "=1+1", r"\input{/etc/passwd}", "a_b&c%d#e$f~g^h", "[x]", "*", "-2", "last"]
"""From the best to the worst; the first is far ahead under base, and level with the second when frozen."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "results.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["encoder", "setting", "seed", "miou", "train_hours"])
        for at, name in enumerate(NAMES):
            for seed in range(3):
                wobble = 0.01 * (seed - 1) * (-1) ** at
                writer.writerow([name, "base", seed, 0.9 * (at == 0) + 0.01 * (9 - at) + wobble, 4])
                writer.writerow([name, "freeze", seed, 0.3 - 0.02 * max(at, 1) + wobble, 1])
    return path


@pytest.fixture(scope="module")
def study(table: Path) -> Study:
    return read_study(read_results_file(table), options=Options(resamples=200))


def written(study: Study, form: str, folder: Path) -> dict[str, bytes]:
    out = folder / form
    files = dict(export(study, form, out))  # type: ignore[arg-type]
    assert all(path.stat().st_size == size for path, size in files.items())
    return {path.name: path.read_bytes() for path in files}


def test_a_lead_is_bold_only_where_it_is_established(study: Study) -> None:
    sheet, bold = scores_sheet(study.parts)
    assert list(sheet.headings) == ["encoder", "base", "freeze"]
    assert bold == {(0, 1)}
    assert re.fullmatch(r"0\.99\d* ± 0\.\d+ \(1\)", sheet.rows[0][1])


def test_latex_holds_names_as_text(study: Study, tmp_path: Path) -> None:
    (text,) = written(study, "latex", tmp_path).values()
    lines = text.decode().splitlines()
    assert r"\textbackslash{}input\{/etc/passwd\}" in text.decode()
    assert not [line for line in lines if r"\input" in line]
    for line in lines:
        if not line.startswith("%"):
            bare = re.sub(r"\\[&%$#_{}\\]", "", line)
            assert not set(bare.replace("$\\pm$", "")) & set("%#$~^_"), line
            assert bare.count("{") == bare.count("}"), line
    tables = re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", text.decode(), re.DOTALL)
    assert len(tables) >= 4
    for columns, body in tables:
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert rows
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns) - 1}
        assert not [row for row in rows if row.startswith(("[", "*"))], "an argument or a star of the row before"
    assert text.decode().count(r"\textbf{") == 1


def test_latex_of_single_characters() -> None:
    assert latex("50 % ± 2 & a_b") == r"50 \% $\pm$ 2 \& a\_b"
    assert latex("a\nb\x07") == "a b "
    lines = latex_table(["n", "x"], [["a", "1"]], {"n"}, caption="c", label="l", bold={(0, 1)})
    assert lines[4:9] == [
        r"\begin{tabular}{lr}", r"\toprule", r"n & x \\", r"\midrule", r"a & \textbf{1} \\"
    ]  # fmt: skip


def test_no_cell_of_a_csv_is_a_formula(study: Study, tmp_path: Path) -> None:
    files = written(study, "csv", tmp_path)
    assert {"scores.csv", "ranking.csv", "agreement.csv", "recommendation.csv"} <= files.keys()
    for name, content in files.items():
        rows = list(csv.reader(content.decode().splitlines()))
        assert len(rows) > 1, name
        for cell in (cell for row in rows for cell in row):
            assert not cell.startswith(("=", "+", "@", "\t")), cell
            assert not cell.startswith("-") or float(cell) < 0
    assert csv_text(pl.DataFrame({"runs": [["a", "b"]]})) == "runs\na; b\n"


def test_every_number_in_parquet_and_json_names_its_runs(study: Study, tmp_path: Path) -> None:
    files = written(study, "parquet", tmp_path)
    tables = {name.removesuffix(".parquet"): pl.read_parquet(content) for name, content in files.items()}
    assert not [name for name, table in tables.items() if 0 in table["runs"].list.len().to_list()]
    ranking, scores = tables["ranking"], tables["scores"]
    assert ranking.filter(setting="base", encoder="lead")["runs"].to_list() == [["line 2", "line 4", "line 6"]]
    means = scores.group_by("setting", "encoder").agg(pl.col("score").mean().alias("mean"))
    both = ranking.join(means, on=["setting", "encoder"])
    assert both.height == 2 * len(NAMES)
    assert both["score"].to_list() == pytest.approx(both["mean"].to_list())
    assert len(tables["agreement"]["runs"][0]) == 2 * 3 * len(NAMES)
    (text,) = written(study, "json", tmp_path).values()
    data = json.loads(text)
    entry = data["settings"][0]["boards"][0]["entries"][0]
    assert (entry["encoder"], [run["run"] for run in entry["runs"]]) == ("lead", ["line 2", "line 4", "line 6"])
    assert data["agree"]["pairs"][0]["tau"] == tables["agreement"]["tau"][0]


def test_markdown_has_every_table_and_names_are_text(study: Study, tmp_path: Path) -> None:
    (text,) = written(study, "markdown", tmp_path).values()
    assert r"| \[x\] |" in text.decode()
    assert text.decode().count("| ---") >= 5


def test_pictures_of_all_charts(table: Path, tmp_path: Path) -> None:
    arguments = ["report", table, "--format", "svg", "--out", tmp_path / "out", "--width", "single", "--dark"]
    done = CliRunner().invoke(app, [*map(str, arguments), "--resamples", "100"])
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"ranking-0-base.svg", "ranking-1-freeze.svg", "ranks-across-settings.svg", "agreement.svg"}
    assert "#16191d" in (tmp_path / "out" / "agreement.svg").read_text()
    assert len(done.stdout.splitlines()) == len(names)


@pytest.mark.parametrize(
    "options", [["--width", "single"], ["--format", "csv", "--dark"], ["--format", "json", "--title", "x"]]
)
def test_an_option_without_effect_is_refused(table: Path, options: list[str]) -> None:
    assert CliRunner().invoke(app, ["report", str(table), *options]).exit_code == 2


def test_a_file_that_cannot_be_written(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="cannot be written"):
        list(export(study, "csv", tmp_path / "file"))
