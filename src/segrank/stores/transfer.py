"""A finished run from one store into another: whole or not at all, and never over another one. No torch.

A run arrives as one that was made there would be published: its files first go into a folder of its attempt, then
record.json is linked, which fails if there is one, then the files move up. So a kill leaves nothing that would be taken
for a run, or a run whose move the next transfer completes.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from segrank.attempt import LOG, WEIGHTS, copy_evaluation
from segrank.claims import Claim
from segrank.errors import StoreError
from segrank.files import whole_file, write_whole
from segrank.record import Evaluation, Record
from segrank.store import Store

_BLOCK = 2**22


class Transfer(NamedTuple):
    """What became of a run."""

    outcome: Literal["added", "completed", "there", "differs"]
    """`completed`: it was there, without some evaluation or file that it now has. `differs`: one of its key is there
    that is not the same; that one stays."""
    difference: str = ""
    """In words."""


def transfer(
    source: Store, record: Record, target: Store, *, weights: bool, notify: Callable[[str], None] = lambda _: None
) -> Transfer:
    """Bring a finished run into a store.

    Args:
        source: where it is.
        record: its record there, with its evaluations.
        target: where it is to be.
        weights: bring its weights as well, where it kept any.
        notify: told when the run is claimed there from another machine, which takes a minute to look at.

    Raises:
        StoreError: a file is not as it was published, or the target cannot be written.
        ClaimError: somebody is at the run in the target.
    """
    there = target.published(record.key)
    try:
        if there is None:
            if _add(source, record, target, weights, notify):
                return Transfer("added")
            there = target.published(record.key)  # somebody was faster
            assert there is not None
        return _compare(source, record, target, there, weights)
    except OSError as error:
        raise StoreError(
            f"run {record.key} cannot be brought into {target.folder}: {error}", fix="mend that, and do it again"
        ) from error


def difference(record: Record, there: Record) -> str:
    """How two runs of one key differ, in words; empty if they are the same run."""
    if record.to_json() == there.to_json():
        return ""
    return f"run {record.key} ({_told(record)}) is not the one that is there ({_told(there)})"


def _add(source: Store, record: Record, target: Store, weights: bool, notify: Callable[[str], None]) -> bool:
    """False if one was published there before."""
    folder, token = target.run_folder(record.key), uuid.uuid4().hex[:12]
    folder.mkdir(parents=True, exist_ok=True)
    claim = Claim.take(folder, token, notify=notify)
    try:
        if (folder / "record.json").exists():
            return False
        (folder / "attempts" / token).mkdir(parents=True)
        claim.start_heartbeat()
        attempt = folder / "attempts" / record.attempt
        attempt.mkdir(exist_ok=True)
        shutil.rmtree(attempt / "evaluations", ignore_errors=True)  # of a transfer that was cut
        for name, path in _files(source, record, weights):
            _copy(path, attempt / name, record.files[name])
        for evaluation in record.evaluations:
            _copy_evaluation(source, evaluation, attempt / "evaluations")
        write_whole(folder / "spec.json", record.spec.model_dump_json(indent=1) + "\n")
        claim.check()
        try:
            write_whole(folder / "record.json", record.to_json(), exclusive=True)
        except FileExistsError:
            return False
        target.settle(record.key)
        return True
    finally:
        claim.release()


def _compare(source: Store, record: Record, target: Store, there: Record, weights: bool) -> Transfer:
    if told := difference(record, there):
        return Transfer("differs", told)
    target.tidy(record.key)
    folder, before = target.run_folder(record.key), {e.key: e for e in there.evaluations}
    missing = [e for e in record.evaluations if e.key not in before]
    for evaluation in missing:
        _copy_evaluation(source, evaluation, folder / "evaluations")
    lacking = [(name, path) for name, path in _files(source, record, weights) if not target.find_file(there, name)]
    for name, path in lacking:
        _copy(path, folder / name, record.files[name])
    differing = [e for e in record.evaluations if e.key in before and _facts(e) != _facts(before[e.key])]
    if differing:
        one, other = differing[0], before[differing[0].key]
        return Transfer(
            "differs",
            f"evaluation {one.key} of run {record.key}, on {one.split}, has mIoU {100 * one.scores.miou:.4f}; "
            f"the one that is there has {100 * other.scores.miou:.4f}",
        )
    return Transfer("completed" if missing or lacking else "there")


def _facts(evaluation: Evaluation) -> Evaluation:
    """Without how long it took, and how its table of counts was compressed."""
    return evaluation.model_copy(update={"seconds": 0.0, "counts_sha256": "", "dataset": ""})


def _files(source: Store, record: Record, weights: bool) -> Iterator[tuple[str, Path]]:
    """Those that the run still has in its store."""
    for name in (LOG, *([WEIGHTS] if weights else [])):
        if name in record.files and (path := source.find_file(record, name)) is not None:
            yield name, path


def _copy(path: Path, target: Path, sha256: str) -> None:
    """Copy a file whole, checking on the way that it is as it was published."""
    found = hashlib.sha256()
    with path.open("rb") as content, whole_file(target) as file:
        while block := content.read(_BLOCK):
            found.update(block)
            file.write(block)
        if found.hexdigest() != sha256:
            raise StoreError(f"{path} is not as it was published: its sha256 differs", fix="restore it")


def _copy_evaluation(source: Store, evaluation: Evaluation, folder: Path) -> None:
    kept = source.predictions_file(evaluation)
    predictions = kept.read_bytes() if kept else b""
    copy_evaluation(folder, evaluation, source.counts_file(evaluation).read_bytes(), predictions)


def _told(record: Record) -> str:
    made = record.provenance
    score = "no score" if record.miou is None else f"mIoU {100 * record.miou:.2f}"
    told = (f"attempt {record.attempt}", made.host and f"on {made.host[:60]}", made.finished[:25], score)
    return ", ".join(part for part in told if part)
