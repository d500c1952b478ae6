"""A pack into a store: nothing in it is believed before it is checked. No torch."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from segrank.attempt import PREDICTIONS, write_evaluation
from segrank.counts import SCHEMA
from segrank.data.archive import ArchiveTree
from segrank.errors import SegrankError, StoreError
from segrank.files import write_whole
from segrank.progress import Reporter, Silent
from segrank.record import Evaluation, Record, load
from segrank.store import Store
from segrank.stores.check import check_counts, check_predictions
from segrank.stores.merge import Merged
from segrank.stores.pack import HEADER, MARK, MAX_FILES, MAX_RUNS, MOST_BYTES, NAME, PACK, RUNS


def import_pack(
    pack: str | os.PathLike[str], into: str | os.PathLike[str], *, reporter: Reporter | None = None
) -> Merged:
    """Bring the runs of a pack into a store, as `merge_stores` does.

    Nothing in a pack is believed before it is checked: names are of runs and evaluations and nothing else, sizes and
    numbers are bounded, each key follows from what the record says, and scores follow from counts. That a run was
    really made, nothing can check.

    Args:
        pack: a file that `export_pack` wrote, or somebody else.
        into: the results folder, which need not be there yet.
        reporter: where progress goes; nowhere by default.

    Raises:
        DataError: the file is no zip archive, is damaged or has dangerous names.
        StoreError: it is no pack, a newer one, or one too large. A single run that is not right is left out, and told.
    """
    tree, reporter = ArchiveTree(Path(pack)), reporter or Silent()
    runs = _contents(tree)
    merged, target = Merged(), Store(into)
    try:
        target.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=target.folder) as folder:
            for done, (key, evaluations) in enumerate(runs.items(), start=1):
                passing = Store(folder)
                try:
                    record = _unpack(tree, key, evaluations, passing)
                except SegrankError as error:
                    merged.left_out.append(f"run {key} of {tree.place}: {error}")
                else:
                    merged.take(passing, record, target, weights=False, reporter=reporter)
                shutil.rmtree(passing.run_folder(key), ignore_errors=True)
                reporter.advance("import", done, len(runs), key)
    except OSError as error:
        raise StoreError(f"{target.folder} cannot be written: {error}", fix="mend that, and import again") from error
    return merged


def _contents(tree: ArchiveTree) -> dict[str, list[str]]:
    """Keys of runs, with those of their evaluations."""
    kind, members = tree.contents
    names = list(members.names)
    if kind != "zip" or MARK not in names:
        raise StoreError(f"{tree.place} is no pack of runs", wanted="a file that `segrank export` wrote")
    _check_mark(tree)
    for name, reason in members.refused.items():
        raise StoreError(f"{tree.where(name)} {reason}", wanted="plain files of a pack")
    runs: dict[str, list[str]] = {}
    total = 0
    for name in names:
        if name == MARK:
            continue
        match = NAME.fullmatch(name)
        if match is None:
            raise StoreError(
                f"{tree.where(name)} is no part of a pack", wanted="records, scores and counts by their keys"
            )
        if (size := members.size(name)) > (most := MOST_BYTES[name.rpartition("/")[2]]):
            raise StoreError(f"{tree.where(name)} unpacks to {size} bytes", wanted=f"at most {most}")
        total += members.size(name)
        evaluations = runs.setdefault(match[1], [])
        if match[3] == "scores.json":
            evaluations.append(match[2])
    if len(runs) > MAX_RUNS or len(names) > MAX_FILES:
        raise StoreError(
            f"{tree.place} holds {len(runs)} runs in {len(names)} files", wanted=f"at most {MAX_RUNS} runs"
        )
    return runs


def _check_mark(tree: ArchiveTree) -> None:
    try:
        mark = json.loads(tree.read(MARK)) if tree.size(MARK) < 2**16 else None
    except (ValueError, RecursionError):
        mark = None
    version = mark.get("pack") if isinstance(mark, Mapping) else None
    if not isinstance(version, int) or not 1 <= version <= PACK:
        raise StoreError(
            f"{tree.where(MARK)} says pack {str(version)[:40]}", wanted=f"1 to {PACK}", fix="use a newer segrank"
        )


def _unpack(tree: ArchiveTree, key: str, evaluations: Sequence[str], passing: Store) -> Record:
    """One run, checked, into a store of its own."""
    place = f"{RUNS}/{key}"
    record = load(Record, _text(tree, f"{place}/record.json"), tree.where(f"{place}/record.json"))
    folder = passing.run_folder(key)
    for name in evaluations:
        inside = f"{place}/evaluations/{name}"
        evaluation = load(Evaluation, _text(tree, f"{inside}/scores.json"), tree.where(f"{inside}/scores.json"))
        if evaluation.key != name:
            raise StoreError(f"{tree.where(inside)} holds evaluation {evaluation.key}", wanted=name)
        counts = _counts(_text(tree, f"{inside}/counts.csv"), tree.where(f"{inside}/counts.csv"))
        check_counts(evaluation, counts)
        kept = f"{inside}/{PREDICTIONS}"
        predictions = tree.read(kept) if kept in tree else b""
        write_evaluation(folder / "evaluations", evaluation, counts, predictions)
        try:
            check_predictions(evaluation, passing.predictions(evaluation))
        except MemoryError as error:  # a map that says it is larger than any
            raise StoreError(f"{tree.where(kept)} claims too much memory") from error
    write_whole(folder / "record.json", record.to_json())
    found = passing.published(key)
    assert found is not None
    return found


def _text(tree: ArchiveTree, name: str) -> str:
    return tree.read(name).decode("utf-8", "replace")


def _counts(text: str, where: str) -> pl.DataFrame:
    if text.partition("\n")[0] != HEADER:
        raise StoreError(f"{where} is no table of counts", wanted=f"a first line {HEADER}")
    try:
        return pl.read_csv(io.StringIO(text), schema=SCHEMA)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise StoreError(f"{where} is no table of counts: {' '.join(str(error).split())[:200]}") from error
