"""A pack holds what others need to rank against, and is believed in nothing."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_store import add_run, contents, evaluation

from segrank.attempt import LOG, WEIGHTS
from segrank.errors import SegrankError, StoreError
from segrank.ranking.table import results_of
from segrank.record import RECORD_SCHEMA
from segrank.store import Store
from segrank.stores.export_pack import export_pack
from segrank.stores.import_pack import import_pack
from segrank.stores.merge import merge_stores


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, list[str]]:
    """A pack of two runs."""
    keys = sorted([add_run(tmp_path / "a", 0), add_run(tmp_path / "a", 1, splits=("val", "dusk"))])
    export_pack(Store(tmp_path / "a"), keys, tmp_path / "pack.zip")
    return tmp_path / "pack.zip", keys


def test_an_imported_pack_ranks_like_the_store_that_it_comes_from(
    packed: tuple[Path, list[str]], tmp_path: Path
) -> None:
    pack, keys = packed
    assert not [name for name in zipfile.ZipFile(pack).namelist() if WEIGHTS in name or LOG in name]
    merged = import_pack(pack, tmp_path / "b")
    assert (sorted(merged.added), merged.left_out) == (keys, [])
    one, two = (results_of(Store(tmp_path / name)).rows for name in "ab")
    assert one.equals(two)
    a, b = (Store(tmp_path / name) for name in "ab")
    for key in keys:
        record, original = b.published(key), a.published(key)
        assert record is not None
        assert original is not None
        for imported, e in zip(record.evaluations, original.evaluations, strict=True):
            assert b.counts(imported).equals(a.counts(e))
    before = contents(tmp_path / "b")
    assert import_pack(pack, tmp_path / "b").there == keys
    assert contents(tmp_path / "b") == before
    # and the other way round: what a pack has not, its own store gives
    assert sorted(merge_stores([tmp_path / "a"], tmp_path / "b").completed) == keys
    assert all((b.run_folder(key) / WEIGHTS).is_file() for key in keys)


def test_equal_runs_make_equal_packs_and_none_is_replaced(packed: tuple[Path, list[str]], tmp_path: Path) -> None:
    pack, keys = packed
    store = Store(tmp_path / "a")
    export_pack(store, list(reversed(keys)), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == pack.read_bytes()
    with pytest.raises(StoreError, match="is there already"):
        export_pack(store, keys, pack)
    with pytest.raises(StoreError, match="is not finished"):
        export_pack(store, ["0" * 16], tmp_path / "none.zip")
    assert not (tmp_path / "none.zip").exists()


Change = Callable[[dict[str, bytes]], object]


def rewritten(pack: Path, change: Change) -> Path:
    """The pack with other contents."""
    with zipfile.ZipFile(pack) as old:
        files = {name: old.read(name) for name in old.namelist()}
    change(files)
    with zipfile.ZipFile(pack.with_name("hostile.zip"), "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in files.items():
            new.writestr(name, content)
    return pack.with_name("hostile.zip")


def put(name: str, content: bytes = b"x") -> Change:
    return lambda files: files.update({name: content})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("../../evil"), "dangerous name"),
        (put("/etc/evil"), "dangerous name"),
        (put("runs/../../evil/record.json"), "dangerous name"),
        (put("runs/0123456789abcdef/weights.safetensors"), "is no part of a pack"),
        (put("runs/0123456789ABCDEF/record.json"), "is no part of a pack"),
        (put("runs/0123456789abcdef/claim"), "is no part of a pack"),
        (put("runs/0123456789abcdef/record.json", b"0" * (2**22 + 1)), "unpacks to 4194305 bytes"),
        (put("segrank-pack.json", b'{"pack": 2}'), "use a newer segrank"),
        (put("segrank-pack.json", b"[" * 9999), "says pack None"),
        (lambda files: files.pop("segrank-pack.json"), "is no pack of runs"),
    ],
)
def test_a_file_that_is_no_pack_is_refused_whole(
    packed: tuple[Path, list[str]], tmp_path: Path, change: Change, said: str
) -> None:
    with pytest.raises(SegrankError, match=said):
        import_pack(rewritten(packed[0], change), tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert not list(tmp_path.rglob("evil*"))


def edited(file: str, change: Callable[[dict[str, object]], object], most: int = 99) -> Change:
    """JSON of the first files of this name, changed."""

    def apply(files: dict[str, bytes]) -> None:
        for name in [name for name in sorted(files) if name.endswith(file)][:most]:
            content = json.loads(files[name])
            change(content)
            files[name] = json.dumps(content).encode()

    return apply


def lines(change: Callable[[list[str]], list[str]]) -> Change:
    """Counts, changed line by line."""

    def apply(files: dict[str, bytes]) -> None:
        for name in [name for name in files if name.endswith("counts.csv")]:
            files[name] = "\n".join(change(files[name].decode().splitlines())).encode()

    return apply


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (edited("scores.json", lambda e: e["scores"].update(miou=0.99)), "and its counts give"),  # type: ignore[attr-defined]
        (edited("scores.json", lambda e: e.update(split="test")), "does not follow from what it says"),
        (edited("scores.json", lambda e: e.update(key="0" * 16)), "holds evaluation 0000000000000000"),
        (edited("scores.json", lambda e: e.update(images=1)), "hold what it did not count"),
        (edited("record.json", lambda r: r["spec"].update(lr=3.0)), "a spec that is not that of its identity"),  # type: ignore[attr-defined]
        (edited("record.json", lambda r: r["identity"].update(lr=3.0)), "does not follow from its identity"),  # type: ignore[attr-defined]
        (edited("record.json", lambda r: r.update(key="../../../evil")), "is damaged at key"),
        (edited("record.json", lambda r: r.update(attempt="../evil")), "is damaged at attempt"),
        (edited("record.json", lambda r: r.update(final="0" * 16)), "has no final evaluation"),
        (edited("record.json", lambda r: r.update(status="failed")), "is not finished"),
        (edited("record.json", lambda r: r.update(record_schema=RECORD_SCHEMA + 1)), "use a newer segrank"),
        (lines(lambda rows: rows[:-1]), "and its counts give"),
        (lines(lambda rows: [*rows, "x,confusion,99,0,1"]), "counts"),
        (lines(lambda rows: [*rows, "val/0,confusion,0,0,-5"]), "hold what it did not count"),
        (lines(lambda rows: [*rows, "val/0,poison,0,0,5"]), "hold what it did not count"),
        (lines(lambda rows: [*rows, "val/0,confusion,0,0,many"]), "is no table of counts"),
        (lines(lambda rows: [*rows, "val/0,confusion,,0,5"]), "hold what it did not count"),
        (lines(lambda rows: ["image,a,b", *rows[1:]]), "is no table of counts"),
    ],
)
def test_a_run_that_is_not_what_it_says_is_left_out(
    packed: tuple[Path, list[str]], tmp_path: Path, change: Change, said: str
) -> None:
    merged = import_pack(rewritten(packed[0], change), tmp_path / "b")
    assert merged.added == []
    assert len(merged.left_out) == 2
    assert said in merged.left_out[0]
    assert not list((tmp_path / "b").iterdir())
    assert not list(tmp_path.rglob("evil*"))


def npz(labels: object) -> bytes:
    """One prediction, as evaluations keep them."""
    content = io.BytesIO()
    np.savez_compressed(content, **{"1": np.array(labels, np.uint8), "names": np.array(["val/1"])})  # type: ignore[arg-type]
    return content.getvalue()


def test_predictions_come_along_if_asked_for(tmp_path: Path) -> None:
    store, key = Store(tmp_path / "a"), add_run(tmp_path / "a", 0)
    one, counts = evaluation(key, "dusk")
    store.add_evaluation(one, counts, npz([[0, 1], [2, 2]]))
    export_pack(store, [key], tmp_path / "without.zip")
    export_pack(store, [key], tmp_path / "with.zip", predictions=True)
    for name, there in (("without", 0), ("with", 1)):
        import_pack(tmp_path / f"{name}.zip", tmp_path / name)
        found = Store(tmp_path / name).predictions(one)
        assert len(found) == there
    assert (found[0].name, found[0].labels.tolist()) == ("val/1", [[0, 1], [2, 2]])
    for hostile, said in (
        (npz([[3]]), "not of its images and classes"),
        (npz(np.zeros((0, 4))), "not of its images and classes"),
        (b"PK\x03\x04", "is damaged"),
        (npz([[0]])[:-30], "is damaged"),
    ):
        files = put(f"runs/{key}/evaluations/{one.key}/predictions.npz", hostile)
        merged = import_pack(rewritten(tmp_path / "with.zip", files), tmp_path / "hostile")
        assert merged.added == []
        assert said in merged.left_out[0]


def test_one_bad_run_does_not_keep_the_others_out(packed: tuple[Path, list[str]], tmp_path: Path) -> None:
    pack, keys = packed
    bad = rewritten(pack, edited("record.json", lambda record: record.update(status="failed"), most=1))
    merged = import_pack(bad, tmp_path / "b")
    assert (merged.added, len(merged.left_out)) == ([keys[1]], 1)


def test_a_pack_does_not_replace_what_is_there(packed: tuple[Path, list[str]], tmp_path: Path) -> None:
    pack, keys = packed
    mine = add_run(tmp_path / "b", 0, luck=7)
    assert mine in keys
    before = Store(tmp_path / "b").published(mine)
    merged = import_pack(pack, tmp_path / "b")
    assert len(merged.differing) == 1
    assert Store(tmp_path / "b").published(mine) == before
