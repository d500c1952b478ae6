"""Stores of several machines become one. No torch."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segrank.errors import SegrankError, StoreError
from segrank.files import write_whole
from segrank.pretrain.store import PRETRAINING
from segrank.progress import Reporter, Silent
from segrank.record import Record
from segrank.store import Store
from segrank.stores.check import check_record
from segrank.stores.pretrainings import bring_pretrainings
from segrank.stores.transfer import difference, transfer

_MANIFEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}\.json")
MAX_MANIFEST_BYTES = 2**28


@dataclass
class Merged:
    """What became of the runs, by key; of those that need a word, in words."""

    added: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    """There before, without some evaluation or file."""
    there: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    """Another one of its key is there, and stays."""
    left_out: list[str] = field(default_factory=list)
    """Damaged, or somebody is at it."""
    unfinished: int = 0
    """Runs that are not done in their store."""
    pretrainings: int = 0
    """That were brought."""

    def take(self, source: Store, record: Record, target: Store, *, weights: bool, reporter: Reporter) -> None:
        """Bring one run into a store. Raises nothing of segrank's: what went wrong is in `left_out`."""
        try:
            check_record(record)
            done = transfer(source, record, target, weights=weights, notify=reporter.say)
        except SegrankError as error:
            self.left_out.append(f"run {record.key} of {source.folder}: {error}")
            return
        if done.outcome == "differs":
            self.differing.append(done.difference)
        else:
            {"added": self.added, "completed": self.completed, "there": self.there}[done.outcome].append(record.key)


def merge_stores(
    sources: Sequence[str | os.PathLike[str]],
    into: str | os.PathLike[str],
    *,
    weights: bool = True,
    refuse_differing: bool = False,
    reporter: Reporter | None = None,
) -> Merged:
    """Bring the finished runs and pretrainings of some stores into one. Done again, it goes on where it was stopped.

    A run that is there already stays: it gets the evaluations and files that it lacks. Of two runs of one key that are
    not the same, the first stays, and both are told. Runs that are not finished stay where they are.

    Args:
        sources: results folders; they are only read.
        into: another one, which need not be there yet.
        weights: bring weights as well.
        refuse_differing: bring nothing if there are two runs of one key that are not the same.
        reporter: where progress goes; nowhere by default.

    Raises:
        StoreError: a source holds no runs, or is the target; or `refuse_differing`, and some differ.
    """
    target, reporter = Store(into), reporter or Silent()
    stores = [Store(source) for source in dict.fromkeys(map(Path, sources))]
    for store in stores:
        if not store.run_keys() and not (store.folder / PRETRAINING).is_dir():
            raise StoreError(f"there are no runs in {store.folder}", wanted="a results folder", fix="check the path")
        if store.folder.resolve() == target.folder.resolve():
            raise StoreError(f"{store.folder} is the store to merge into", fix="leave it out of those to merge")
    merged = Merged()
    if refuse_differing:
        _refuse(stores, target)
    total = sum(len(store.run_keys()) for store in stores)
    done = 0
    for store in stores:
        for key in store.run_keys():
            try:
                record = store.published(key)
            except StoreError as error:
                merged.left_out.append(str(error))
            else:
                if record is None:
                    merged.unfinished += 1
                else:
                    merged.take(store, record, target, weights=weights, reporter=reporter)
            done += 1
            reporter.advance("merge", done, total, key)
        brought, left_out = bring_pretrainings(store, target)
        merged.pretrainings += brought
        merged.left_out += left_out
        _bring_manifests(store, target)
    return merged


def _refuse(stores: Sequence[Store], target: Store) -> None:
    first: dict[str, Record] = {}
    told = []
    for store in (target, *stores):
        for key in store.run_keys():
            record = store.published(key)
            if record is not None and (words := difference(record, first.setdefault(key, record))):
                told.append(words)
    if told:
        more = f"; and {len(told) - 8} more" if len(told) > 8 else ""
        raise StoreError(
            f"nothing was merged, since of some keys there are two runs: {'; '.join(told[:8])}{more}",
            fix="merge without --refuse-differing to keep the first of each",
        )


def _bring_manifests(store: Store, target: Store) -> None:
    """What the studies of a store are, unless the target has one of that name."""
    for path in sorted((store.folder / "studies").glob("*.json")):
        place = target.folder / "studies" / path.name
        if _MANIFEST.fullmatch(path.name) and path.stat().st_size <= MAX_MANIFEST_BYTES and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, path.read_bytes())
