"""What a page is made of, and what changes, repeats or is refused; how it looks is tested in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hostile_study import ENCODERS, hostile_page, hostile_store, hostile_study
from picture_store import add_run
from ruamel.yaml import YAML
from typer.testing import CliRunner

from segrank.cli import app
from segrank.ranking.leaderboard import Options
from segrank.ranking.table import results_of
from segrank.report.page import html, script_json
from segrank.report.sections.changes import changes
from segrank.report.sections.images import _disagreement
from segrank.report.sections.protocol import again
from segrank.report.study import Study, read_parts
from segrank.store import Store
from segrank.study.study import STUDIES
from segrank.study.study import read_study as read_study_file


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return hostile_store(tmp_path_factory.mktemp("page") / "store")


@pytest.fixture(scope="module")
def study(store: Store) -> Study:
    return hostile_study(store)


def test_names_are_escaped_and_the_policy_names_every_script_and_style(study: Study) -> None:
    text = html(hostile_page(study))
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    found = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", text, re.DOTALL)
    assert len(found) == 3
    for part in found:
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"sha256-{digest}" in policy[1].replace("&#39;", "'")


def test_json_stays_inside_its_script() -> None:
    text = script_json({"a": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])


def test_what_the_protocol_says_repeats_the_runs(study: Study, tmp_path: Path) -> None:
    for part in study.parts:
        file = tmp_path / "again.yaml"
        file.write_text(again(part.setting.block.rows, part.name))
        specs = {cell.spec for cell in read_study_file(file).cells}
        runs = part.setting.block.rows["run"].to_list()
        assert specs == {study.records[run].spec.replace(precision="fp32") for run in runs}
        assert len(specs) == 2 * len(ENCODERS)


def test_one_setting_is_a_page_too_and_what_it_does_not_answer_is_said(store: Store) -> None:
    done = CliRunner().invoke(
        app, ["report", str(store.folder), "--where", "freeze=false", "--out", str(store.folder / "one.html"),
              "--resamples", "100"]
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "one.html" in done.output
    text = (store.folder / "one.html").read_text("utf-8")
    assert "Predictions of 8 images are kept" in text  # and are not in it, as nobody asked for them
    assert len(text) < 2e6


def test_what_changed_between_two_stores(study: Study, tmp_path: Path) -> None:
    old = Store(tmp_path / "old")
    same, *_, better = ENCODERS
    gone = "small:conv"
    for seed in (0, 1):
        add_run(old, same, ENCODERS[same], seed=seed)
        add_run(old, better, 0.02, seed=seed)
        add_run(old, gone, 0.3, seed=seed)
    results = results_of(old)
    parts, _ = read_parts(results, options=Options(resamples=100))
    section = changes(study, (results, parts))
    runs = next(table for table in section.tables if table.name == "changes-runs").sheet.rows
    kinds = {run: what for what, run, *_ in runs}
    before, after = set(results.rows["run"]), set(study.results.rows["run"])
    assert {run for run in kinds if kinds[run] == "new"} == after - before
    assert {run for run in kinds if kinds[run] == "gone"} == before - after
    changed = {run for run in kinds if kinds[run] == "otherwise"}
    assert {study.records[run].spec.encoder for run in changed} == {better}


def test_disagreement_is_the_share_of_pairs_that_differ() -> None:
    maps = np.random.default_rng(0).integers(0, 3, (5, 4, 6)).astype(np.uint8)
    pairs = [(maps[a] != maps[b]).mean() for a in range(5) for b in range(a)]
    assert _disagreement(maps) == pytest.approx(np.mean(pairs))


def test_a_table_of_results_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("encoder,miou,f1\na,1,3\nb,2,2\nc,3,1\n=d,4,0\n")
    arguments = ["report", str(tmp_path / "results.csv"), "--metrics", "miou,f1", "--out", str(tmp_path / "page.html")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "=d leads" in (tmp_path / "page.html").read_text("utf-8")


def test_options_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    for arguments in (["--root", str(tmp_path)], ["--format", "csv", "--images", "3"]):
        done = CliRunner().invoke(app, ["report", str(tmp_path), *arguments])
        assert done.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_the_demo_ends_with_ranking_agreement_and_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        (STUDIES / "demo.yaml").read_text("utf-8").replace("size=64&train=1000&val=60&seed=1", "size=32&train=8&val=4")
    )
    demo = YAML(typ="safe").load(text)
    demo["set"].update(crop=32, batch_size=2, steps=2)
    demo["encoders"] = demo["encoders"][:2]
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "demo.yaml").write_text(json.dumps(demo), "utf-8")
    monkeypatch.setattr("segrank.study.study.STUDIES", tmp_path / "studies")
    done = CliRunner().invoke(app, ["demo", "--store", str(tmp_path / "store"), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    order = ["8 runs: 8 done", "$ segrank rank", "$ segrank agree", "$ segrank report", "report.html"]
    assert [done.output.find(said) for said in order] == sorted(done.output.find(said) for said in order)
    assert all(said in done.output for said in order)
    text = (tmp_path / "store" / "report.html").read_text("utf-8")
    assert "4 images of scenes?size=32&amp;train=8&amp;val=4 val" in text
    assert text.count("data:image/jpeg") == 4
