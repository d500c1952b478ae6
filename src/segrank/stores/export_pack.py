"""Finished runs of a store into a pack. No torch."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from segrank.attempt import PREDICTIONS
from segrank.counts import SCHEMA
from segrank.errors import StoreError
from segrank.files import whole_file
from segrank.progress import Reporter, Silent
from segrank.store import Store
from segrank.stores.check import check_counts, check_predictions, check_record
from segrank.stores.pack import MARK, PACK, RUNS


def export_pack(
    store: Store,
    keys: Sequence[str],
    out: str | os.PathLike[str],
    *,
    predictions: bool = False,
    reporter: Reporter | None = None,
) -> int:
    """Write finished runs of a store into a new file.

    Records name the machine that a run was made on, and the paths of files.

    Args:
        store: the results folder.
        keys: of its runs.
        out: the file; there must be none.
        predictions: put in those that evaluations kept of a few images, to look at.
        reporter: where progress goes; nowhere by default.

    Returns:
        bytes of the pack.

    Raises:
        StoreError: a run is not finished or is damaged, or the file is there or cannot be written.
    """
    path, reporter = Path(out), reporter or Silent()
    if path.exists():
        raise StoreError(f"{path} is there already", fix="choose another name, or remove it")
    if not keys:
        raise StoreError(f"no runs of {store.folder} to put into a pack", wanted="finished runs")
    try:
        with whole_file(path, exclusive=True) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
            _add(pack, MARK, json.dumps({"pack": PACK, "segrank": version("segrank"), "runs": len(keys)}))
            for done, key in enumerate(sorted(keys), start=1):
                _export(store, key, pack, predictions)
                reporter.advance("export", done, len(keys), key)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}", fix="choose another place or free space") from error
    return path.stat().st_size


def _export(store: Store, key: str, pack: zipfile.ZipFile, predictions: bool) -> None:
    record = store.published(key)
    if record is None:
        raise StoreError(f"run {key} in {store.folder} is not finished", fix="leave it out, or finish it")
    check_record(record)
    _add(pack, f"{RUNS}/{key}/record.json", record.to_json())
    for evaluation in record.evaluations:
        counts = store.counts(evaluation)
        check_counts(evaluation, counts)
        folder = f"{RUNS}/{key}/evaluations/{evaluation.key}"
        _add(pack, f"{folder}/scores.json", evaluation.to_json())
        _add(pack, f"{folder}/counts.csv", counts.select(SCHEMA.names()).write_csv())
        if predictions and (kept := store.predictions_file(evaluation)):
            check_predictions(evaluation, store.predictions(evaluation))
            _add(pack, f"{folder}/{PREDICTIONS}", kept.read_bytes())


def _add(pack: zipfile.ZipFile, name: str, text: str | bytes) -> None:
    """Equal runs make equal packs: no time of day is in one."""
    about = zipfile.ZipInfo(name)
    about.compress_type, about.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    pack.writestr(about, text)
