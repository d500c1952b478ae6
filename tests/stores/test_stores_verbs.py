"""`segrank merge`, `export`, `import` and `gc` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_store import add_run, contents
from typer.testing import CliRunner, Result

from segrank.cli import app

pytestmark = pytest.mark.usefixtures("in_a_folder")


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def segrank(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done


def test_merge_export_and_import() -> None:
    for seed in range(3):
        add_run(Path("a"), seed)
    key = add_run(Path("b"), 0, luck=1)
    told = segrank("merge", "a", "b", "--into", "c").output
    assert f"differs: run {key} (attempt" in told
    assert "c: 3 runs added, 1 not the same as there, which stays" in told
    assert "c: 0 runs added, 3 there already" in segrank("merge", "a", "--into", "c").output
    assert "p.zip: 2 runs, " in segrank("export", "c", "p.zip", "--where", "seed>0").output
    assert "d: 2 runs added" in segrank("import", "p.zip", "--store", "d").output
    (next(Path("a").rglob("counts.parquet"))).unlink()
    assert "left out: run" in segrank("merge", "a", "--into", "e", code=1).output


def test_gc_says_before_it_does() -> None:
    for seed in range(2):
        add_run(Path("segrank-store"), seed)
    before = contents(Path("segrank-store"))
    assert "nothing to remove" in segrank("gc").output
    told = segrank("gc", "--weights", "--where", "seed=0").output
    assert "31.3 KiB weights, of 1 run" in told
    assert "could go; --delete removes it" in told
    assert contents(Path("segrank-store")) == before
    assert "31.3 KiB gone" in segrank("gc", "--weights", "--where", "seed=0", "--delete").output
    assert len(contents(Path("segrank-store"))) == len(before) - 1
    segrank("gc", "--where", "seed=0", code=2)
    segrank("gc", "--store", "nowhere", code=1)
