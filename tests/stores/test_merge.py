"""Stores become one: idempotent, told where runs differ, whole after any kill."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_store import SPEC, add_run, contents, evaluation

from segrank.attempt import WEIGHTS
from segrank.errors import StoreError
from segrank.store import Store
from segrank.stores.merge import merge_stores


def test_two_stores_become_one_and_merging_again_changes_nothing(tmp_path: Path) -> None:
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    keys = [add_run(a, 0), add_run(a, 1, splits=("val", "dusk")), add_run(b, 2)]
    shutil.copytree(a / "runs" / keys[1], b / "runs" / keys[1])
    begun = Store(b).begin("f" * 16, SPEC)
    assert begun is not None
    begun.claim.release()
    (b / "studies").mkdir()
    (b / "studies" / "mine.json").write_text("{}")
    merged = merge_stores([a, b], c)
    assert (sorted(merged.added), merged.there, merged.unfinished) == (sorted(keys), [keys[1]], 1)
    assert not merged.differing
    assert not merged.left_out
    expected = {name: sha for store in (a, b) for name, sha in contents(store).items() if "f" * 16 not in name}
    assert contents(c) == expected
    again = merge_stores([a, b], c)
    assert (again.added, again.completed, len(again.there)) == ([], [], 4)
    assert contents(c) == expected


def test_a_run_that_is_there_gets_what_it_lacks(tmp_path: Path) -> None:
    a, c = tmp_path / "a", tmp_path / "c"
    key = add_run(a, 0)
    assert merge_stores([a], c, weights=False).added == [key]
    assert not (c / "runs" / key / WEIGHTS).exists()
    Store(a).add_evaluation(*evaluation(key, "dusk"))
    assert merge_stores([a], c).completed == [key]
    assert contents(c) == contents(a)


def test_of_runs_that_differ_the_first_stays_and_both_are_told(tmp_path: Path) -> None:
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    key = add_run(a, 0, luck=1)
    other = [add_run(b, 0, luck=2), add_run(b, 1)]
    with pytest.raises(StoreError, match=f"nothing was merged, .*: run {key}"):
        merge_stores([a, b], c, refuse_differing=True)
    assert not c.exists()
    merged = merge_stores([a, b], c)
    assert (merged.added, len(merged.differing)) == ([key, other[1]], 1)
    assert "on host-2" in merged.differing[0]
    assert "the one that is there (attempt" in merged.differing[0]
    assert "on host-1" in merged.differing[0]
    assert Store(c).published(key) == Store(a).published(key)
    Store(a).add_evaluation(*evaluation(key, "dusk", luck=1))
    Store(c).add_evaluation(*evaluation(key, "dusk", luck=2))
    [told] = merge_stores([a], c).differing
    assert "on dusk, has mIoU" in told


@pytest.mark.parametrize("file", ["weights.safetensors", "log.jsonl", "record.json", "counts.parquet"])
def test_what_is_damaged_is_left_out_and_the_rest_is_merged(file: str, tmp_path: Path) -> None:
    a, c = tmp_path / "a", tmp_path / "c"
    damaged, whole = add_run(a, 0), add_run(a, 1)
    path = next((a / "runs" / damaged).rglob(file))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    merged = merge_stores([a], c)
    assert merged.added == [whole]
    assert len(merged.left_out) == 1
    assert damaged in merged.left_out[0]
    assert Store(c).published(damaged) is None


def test_a_record_under_a_name_that_is_not_its_own_is_left_out(tmp_path: Path) -> None:
    a, c = tmp_path / "a", tmp_path / "c"
    path = a / "runs" / add_run(a, 0) / "record.json"
    record = json.loads(path.read_text())
    for field, value in (("spec", {**record["spec"], "lr": 0.5}), ("identity", {**record["identity"], "lr": 0.5})):
        path.write_text(json.dumps({**record, field: value}))
        [told] = merge_stores([a], c).left_out
        assert "identity" in told


def test_a_run_that_somebody_is_at_is_left_to_them(tmp_path: Path) -> None:
    a, c = tmp_path / "a", tmp_path / "c"
    key, other = add_run(a, 0), add_run(a, 1)
    mine = Store(c).begin(key, SPEC)
    assert mine is not None
    merged = merge_stores([a], c)
    assert merged.added == [other]
    assert "is being run by process" in merged.left_out[0]
    assert mine.folder.is_dir()
    mine.claim.release()
    assert merge_stores([a], c).added == [key]


def test_a_place_without_runs_and_a_store_into_itself_are_refused(tmp_path: Path) -> None:
    add_run(tmp_path / "a", 0)
    with pytest.raises(StoreError, match="no runs in"):
        merge_stores([tmp_path / "a", tmp_path / "nothing"], tmp_path / "c")
    with pytest.raises(StoreError, match="is the store to merge into"):
        merge_stores([tmp_path / "a"], tmp_path / "b" / ".." / "a")


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from made_store import contents
from segrank.store import Store
from segrank.stores import gc
from segrank.stores.gc import sweep
from segrank.stores.merge import merge_stores

gc.STALE_S = -60
a, folder = Path({a!r}), Path({folder!r})
expected = contents(a)
calls = {{"link": os.link, "replace": os.replace, "rename": os.rename}}
paths = {{name: getattr(Path, name) for name in ("replace", "rename")}}

def in_a_child(work):
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def killed_after(count, into):
    left = count
    def counted(function):
        def call(*arguments, **keywords):
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return function(*arguments, **keywords)
        return call
    os.link = counted(os.link)
    for name, function in paths.items():
        setattr(Path, name, counted(function))
    merge_stores([a], into)

for count in range(1000):
    into = folder / str(count)
    code = in_a_child(lambda: killed_after(count, into))
    for key in Store(into).run_keys():
        record = Store(into).published(key)  # raises if it is half there
        assert record is None or len(record.evaluations) == 2, (count, key)
    in_a_child(lambda: merge_stores([a], into))
    sweep(Store(into))
    there = contents(into)
    assert there == expected, (count, set(there) ^ set(expected))
    if code == 0:
        break
print(count)
"""


def test_killed_at_any_moment_and_done_again_is_as_if_undisturbed(tmp_path: Path) -> None:
    a = tmp_path / "a"
    add_run(a, 0)
    script = KILLED.format(tests=str(Path(__file__).parent), a=str(a), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8
