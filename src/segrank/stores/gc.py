"""What a store can do without: what attempts left of published runs, what kills left, weights by choice. No torch."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from segrank.attempt import LOG, WEIGHTS, score_files
from segrank.claims import Claim
from segrank.errors import ClaimError, StoreError
from segrank.record import Record
from segrank.store import Store

STALE_S = 24 * 3600
"""What a write leaves behind under a temporary name is a kill's when it is so old: no write takes as long."""

Kind = Literal["attempts", "leftovers", "weights"]


class Garbage(NamedTuple):
    """What could go of one run, or of the store itself."""

    key: str
    """Of the run; empty for the store."""
    kind: Kind
    paths: tuple[Path, ...]
    size: int
    """Bytes."""


class Swept(NamedTuple):
    """What went."""

    gone: list[Garbage]
    kept: list[str]
    """What stayed since somebody is at the run, or the disk refused, in words."""


def garbage(store: Store, *, weights: Collection[str] = ()) -> Iterator[Garbage]:
    """Look what could go; nothing is touched. Runs that are not published keep all they have: they may go on.

    Args:
        store: the results folder.
        weights: keys of published runs whose weights are not wanted any more. They cannot be evaluated again then.
    """
    for key in store.run_keys():
        try:
            record = store.published(key)
        except StoreError:
            continue  # damaged: whoever mends it may want all of it
        if record is None:
            continue
        folder = store.run_folder(key)
        if paths := _attempts(folder, record):
            yield _garbage(key, "attempts", paths)
        if paths := _stale((*folder.glob(".*.tmp"), *folder.glob(".claim.*.old"), *folder.glob("evaluations/.*.tmp"))):
            yield _garbage(key, "leftovers", paths)
        if key in weights and (path := store.find_file(record, WEIGHTS)) is not None:
            yield _garbage(key, "weights", [path])
    if paths := _stale((*store.folder.glob(".import-*"), *store.folder.glob("studies/.*.tmp"))):
        yield _garbage("", "leftovers", paths)


def sweep(store: Store, *, weights: Collection[str] = (), notify: Callable[[str], None] = lambda _: None) -> Swept:
    """Remove what `garbage` finds. A run that somebody is at is left alone: each is claimed first.

    Args:
        store, weights: as `garbage`.
        notify: told when a claim from another machine is looked at, which takes a minute.
    """
    swept = Swept([], [])
    for found in garbage(store, weights=weights):
        try:
            with _claimed(store, found.key, notify):
                if found.kind == "attempts":
                    store.settle(found.key)  # which first completes the publication, should that have been cut
                else:
                    for path in found.paths:
                        _remove(path)
            swept.gone.append(found)
        except (ClaimError, OSError) as error:
            swept.kept.append(str(error))
    return swept


@contextlib.contextmanager
def _claimed(store: Store, key: str, notify: Callable[[str], None]) -> Iterator[None]:
    if not key:
        yield
        return
    claim = Claim.take(store.run_folder(key), uuid.uuid4().hex[:12], notify=notify)
    try:
        yield
    finally:
        claim.release()


def _attempts(folder: Path, record: Record) -> list[Path]:
    """All that attempts left, but for what a publication that was cut has still to move up."""
    winner = folder / "attempts" / record.attempt
    wanted = {winner / LOG, winner / WEIGHTS, *(path.parent for path in score_files(winner / "evaluations"))}
    return [
        path
        for path in folder.glob("attempts/**/*")
        if path.is_file() and path not in wanted and wanted.isdisjoint(path.parents)
    ]


def _stale(paths: Collection[Path]) -> list[Path]:
    before = time.time() - STALE_S
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_mtime < before:
                found.append(path)
    return found


def _garbage(key: str, kind: Kind, paths: Collection[Path]) -> Garbage:
    return Garbage(key, kind, tuple(paths), sum(map(_size, paths)))


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
        return sum(one.lstat().st_size for one in inside if one.is_symlink() or one.is_file())
    return 0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
