"""Finished pretrainings from one store into another: whole or not at all, never over one that is there. No torch."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from segrank.attempt import LOG, WEIGHTS
from segrank.cards.own import card_file
from segrank.errors import StoreError
from segrank.files import digest, fsync_folder
from segrank.pretrain.store import PRETRAINING, PretrainStore
from segrank.store import Store

_FILES = ("spec.json", "record.json", card_file(Path(WEIGHTS)).name)
"""Beside those that the record names."""


def bring_pretrainings(source: Store, target: Store) -> tuple[int, list[str]]:
    """Bring those that the target lacks; of one key, the first stays.

    Returns:
        how many were brought, and what is said of those that are damaged and were left out.
    """
    brought, left_out = 0, []
    there, here = PretrainStore(source.folder), PretrainStore(target.folder)
    for path in sorted((source.folder / PRETRAINING).glob("*/record.json")):
        key = path.parent.name
        if (here.run_folder(key) / "record.json").exists():
            continue
        try:
            _bring(there, here, key)
            brought += 1
        except (StoreError, OSError) as error:
            left_out.append(f"pretraining {key} of {source.folder}: {error}")
    return brought, left_out


def _bring(source: PretrainStore, target: PretrainStore, key: str) -> None:
    record = source.published(key)
    if record is None or record.key != key or record.status != "ok":
        raise StoreError("its record is not that of a finished pretraining")
    if not {WEIGHTS} <= record.files.keys() <= {LOG, WEIGHTS}:
        named = ", ".join(sorted(record.files))[:80] or "no file"
        raise StoreError(f"its record names {named}", wanted=f"{WEIGHTS}, and {LOG} where something was learnt")
    incoming = target.folder / PRETRAINING / f".incoming-{uuid.uuid4().hex[:12]}"
    incoming.mkdir(parents=True)
    try:
        for name in (*_FILES, *record.files):
            shutil.copyfile(source.run_folder(key) / name, incoming / name)
        for name, expected in record.files.items():
            if digest(incoming / name) != expected:
                raise StoreError(f"{name} is not as it was published", fix="restore it")
        fsync_folder(incoming)
        incoming.rename(target.run_folder(key))  # fails where somebody has been faster
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
