"""Anybody's tables: what is read from them, and hostile ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from segrank.errors import RankingError
from segrank.ranking import read_table
from segrank.ranking.results import direction_of
from segrank.ranking.results_file import read_results_file

ROWS = [("a", "voc", 0, 0.5), ("a", "voc", 1, 0.52), ("b", "voc", 0, 0.4)]
CSV = "encoder,dataset,seed,miou\n" + "".join(f"{e},{d},{s},{m}\n" for e, d, s, m in ROWS)


def write(folder: Path, content: str | bytes, name: str = "results.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("kind", ["csv", "bom", "crlf", "tsv", "jsonl", "parquet", "quoted"])
def test_the_same_rows_from_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    columns = ("encoder", "dataset", "seed", "miou")
    objects = [dict(zip(columns, row, strict=True)) for row in ROWS]
    name = {"tsv": "r.tsv", "jsonl": "r.jsonl", "parquet": "r.parquet"}.get(kind, "r.csv")
    content = {
        "csv": CSV,
        "bom": "\ufeff" + CSV,
        "crlf": CSV.replace("\n", "\r\n"),
        "tsv": CSV.replace(",", "\t"),
        "jsonl": "\n".join(map(json.dumps, objects)),
        "quoted": CSV.replace("voc", '" voc "'),
    }
    path = write(tmp_path, content.get(kind, ""), name)
    if kind == "parquet":
        pl.DataFrame(objects).write_parquet(path)
    results = read_results_file(path)
    assert results.rows.select(columns).rows() == ROWS
    assert results.rows["label"].to_list() == results.rows["encoder_id"].to_list() == ["a", "a", "b"]
    assert results.rows["run"].to_list() == [
        f"{'row' if kind == 'parquet' else 'line'} {number + (kind not in ('jsonl', 'parquet'))}"
        for number in (1, 2, 3)
    ]
    assert results.protocol == ("dataset",)
    assert (results.metric().name, results.metric().direction, results.metric().guessed) == ("miou", "higher", True)


def test_columns_by_other_names_and_what_is_not_looked_at(tmp_path: Path) -> None:
    path = write(
        tmp_path, "backbone,task:rmse,batch_size,memory,when,trial\nx,0.5,8,4x V100,now,3\ny,0.6,8,2.5,now,3\n"
    )
    results = read_results_file(
        path, metrics=["task:rmse"], columns={"memory_gib": "memory", "seed": "trial"}, same=["when"]
    )
    assert results.metric().direction == "lower"
    assert results.protocol == ("when", "batch_size")
    assert results.rows["seed"].to_list() == [3, 3]
    assert results.rows["memory_gib"].to_list() == [None, 2.5]
    assert "1 cells of memory are no numbers, and are left out" in results.notes
    results = read_results_file(path, metrics=["task:rmse:higher"])
    assert (results.metric().direction, results.metric().guessed) == ("higher", False)
    assert results.notes == ("columns not looked at: memory, when, trial",)


def test_named_runs_are_repetitions_where_there_are_no_seeds(tmp_path: Path) -> None:
    path = write(tmp_path, "model,run,split,miou\na,x,val,1\na,y,val,2\nb,z,val,3\na,x,test,4\n")
    assert read_results_file(path).rows["seed"].to_list() == [0, 1, 0, 0]


def test_what_is_no_score_keeps_its_row(tmp_path: Path) -> None:
    path = write(tmp_path, "encoder,miou,status\na,,\nb,NaN,ok\nc,-inf,OK\nd,n/a,\ne,0.5,out of memory\n")
    rows = read_results_file(path).rows
    assert rows["status"].to_list() == ["ok", "ok", "ok", "ok", "out of memory"]
    assert [str(value) for value in rows["miou"]] == ["None", "nan", "-inf", "None", "0.5"]


HOSTILE: dict[str, tuple[Any, ...]] = {
    "empty": ("", "holds no row"),
    "header only": ("encoder,miou\n", "holds no row"),
    "blank lines": ("\n\n ,\n", "column 1 has no name|holds no row"),
    "text": ("encoder,miou\na,0.5\nb,good\n", r'line 3, column "miou": "good" is no number'),
    "thousands": ('encoder,miou\na,"17,300"\n', r'line 2, column "miou": "17,300".*\n.*\n.*without a comma'),
    "decimal comma": ('encoder,miou\na,"0,75"\n', r'line 2, column "miou": "0,75"'),
    "percent": ("encoder,miou\na,75%\n", '"75%" is no number'),
    "underscore": ("encoder,miou\na,1_0\n", '"1_0" is no number'),
    "digits of another script": ("encoder,miou\na,٣\n", "is no number"),
    "plus or minus": ("encoder,miou\na,0.7±0.1\n", "is no number"),
    "semicolons": ("encoder;miou\na;0,5\n", "--delimiter ';'"),
    "tabs": ("encoder\tmiou\na\t0.5\n", "--delimiter TAB"),
    "ragged": ("encoder,miou\na,0.5\nb,0.5,0.6\n", "line 3: 3 cells under 2 columns"),
    "lines in a cell": ('encoder,miou\n"a\nb",0.5\nc\n', "line 4: 1 cells"),
    "open quote": ('encoder,miou\n"a,0.5\n', "line 2: unexpected end"),
    "same column twice": ("encoder,miou,miou\na,1,2\n", 'two columns are called "miou"'),
    "nameless column": ("encoder,,miou\na,1,2\n", "column 2 has no name"),
    "no encoder": ("name,miou\na,1\n", "--column encoder=NAME"),
    "no metric": ("encoder,score\na,1\n", "--metric NAME"),
    "nameless encoder": ("encoder,miou\na,1\n ,2\n", 'line 3, column "encoder": no encoder'),
    "seed": ("encoder,seed,miou\na,x1,2\n", 'line 2, column "seed": "x1"'),
    "negative seed": ("encoder,seed,miou\na,-1,2\n", "a whole number"),
    "half a seed": ("encoder,seed,miou\na,0.5,2\n", "a whole number"),
    "not UTF-8": (b"encoder,miou\na,1\nb\xff,2\n", "line 3: not UTF-8"),
    "UTF-16": ("encoder,miou\na,1\n".encode("utf-16"), "line 1: not UTF-8"),
    "long cell": (f"encoder,miou\n{'a' * 200_000},1\n", "line 2: field larger than"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_csv(tmp_path: Path, name: str) -> None:
    content, message = HOSTILE[name]
    path = write(tmp_path, content)
    with pytest.raises(RankingError, match=message) as caught:
        read_results_file(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.jsonl", '{"encoder": "a", "miou": 1}\n[1]\n', "line 2 holds a JSON list"),
        ("r.jsonl", '{"encoder": "a", "miou": 1}\n{"encoder"\n', "line 2: Expecting"),
        ("r.jsonl", '{"encoder": "a", "encoder": "b", "miou": 1}', "line 1: a key stands twice"),
        ("r.jsonl", "[" * 100_000, "line 1"),
        ("r.jsonl", '{"encoder": "a", "miou": "x"}', 'line 1, column "miou"'),
        ("r.jsonl", '{"encoder": "a", "miou": true}', '"True" is no number'),
        ("r.jsonl", f'{{"encoder": "a", "miou": 1{"0" * 400}}}', "is no number"),
        ("r.parquet", "PAR1 not really", "no Parquet file"),
        ("r.xlsx", "", "no table that segrank reads"),
    ],
)
def test_hostile_files_of_other_kinds(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(RankingError, match=message):
        read_results_file(write(tmp_path, content, name))


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_BYTES", 10), ("MAX_ROWS", 2), ("MAX_COLUMNS", 3), ("MAX_CELLS", 11)]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, kind: str) -> None:
    rows = pl.DataFrame({"encoder": ["a", "b", "c"], "miou": [1.0, 2.0, 3.0], "x": [1, 2, 3], "y": [1, 2, 3]})
    path = tmp_path / f"r.{kind}"
    if kind == "parquet":
        rows.write_parquet(path)
    else:
        (rows.write_csv if kind == "csv" else rows.write_ndjson)(path)
    assert read_results_file(path).rows.height == 3
    monkeypatch.setattr(read_table, limit, value)
    with pytest.raises(RankingError, match="at most"):
        read_results_file(path)


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, "encoder,val_iou\na,1\n")
    for metric, columns in (("val_iuo", {}), ("val_iou", {"seed": "val_iuo"})):
        with pytest.raises(RankingError, match='no column "val_iuo"') as caught:
            read_results_file(path, metrics=[metric], columns=columns)
        assert 'did you mean "val_iou"' in str(caught.value)
    with pytest.raises(RankingError, match='did you mean "encoder"'):
        read_results_file(path, metrics=["val_iou"], columns={"encodr": "encoder"})
    with pytest.raises(RankingError, match="cannot be read"):
        read_results_file(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("mIoU", "higher"), ("miou_ms_flip", "higher"), ("semantic_segmentation:pixel_acc", "higher"),
        ("correspondence:recall@1px", "higher"), ("depth:abs_rel", "lower"), ("val/loss", "lower"), ("mae", "lower"),
        ("surface_normal:median", None), ("depth:d1", None), ("loss_iou", None), ("accuracy:time", None),
        ("score", None),
    ],
)  # fmt: skip
def test_directions_are_guessed_only_where_the_name_leaves_no_doubt(name: str, direction: str | None) -> None:
    assert direction_of(name) == direction


def test_an_open_direction_has_to_be_told(tmp_path: Path) -> None:
    path = write(tmp_path, "encoder,median\na,1\n")
    with pytest.raises(RankingError, match="--metric 'median:higher' or --metric 'median:lower'"):
        read_results_file(path, metrics=["median"])
    assert read_results_file(path, metrics=["median:lower"]).metric().direction == "lower"
