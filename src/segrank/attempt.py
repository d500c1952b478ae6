"""One try at a run, in a folder of its own. No torch here.

attempts/<token>/ heartbeat  log.jsonl  step-<n>.pt  step-<n>.sha256  evaluations/  record.json
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from segrank.claims import Claim
from segrank.errors import ClaimError, StoreError
from segrank.files import digest, fsync_folder, write_whole
from segrank.record import Evaluation, Stored, load

if TYPE_CHECKING:
    import polars as pl

    from segrank.store import Store

LOG = "log.jsonl"
_CHECKPOINT = re.compile(r"step-(\d{9})\.pt")
WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.npz"


class Attempt:
    """One try at a run, in a folder of its own."""

    def __init__(self, store: Store, key: str, claim: Claim) -> None:
        self.store, self.key, self.claim = store, key, claim
        self.token = claim.token
        self.folder = store.run_folder(key) / "attempts" / claim.token

    @property
    def others(self) -> list[Path]:
        """Folders of the attempts before this one."""
        return [path for path in self.folder.parent.iterdir() if path.is_dir() and path != self.folder]

    def check(self) -> None:
        """Raises ClaimError if the run is no longer ours, or was finished by another attempt."""
        self.claim.check()
        if (self.store.run_folder(self.key) / "record.json").exists():
            raise ClaimError(f"run {self.key} was finished by another process", fix="nothing: it is done")

    def add_evaluation(self, evaluation: Evaluation, counts: pl.DataFrame, predictions: bytes = b"") -> None:
        write_evaluation(self.folder / "evaluations", evaluation, counts, predictions)

    def evaluations(self) -> tuple[Evaluation, ...]:
        return read_evaluations([self.folder / "evaluations"])

    def inherit(self, other: Path, *, step: int) -> None:
        """Take over an earlier attempt's step log and evaluations, up to its checkpoint at `step`."""
        import polars as pl

        lines = (other / LOG).read_text(encoding="utf-8").splitlines(keepends=True)
        if len(lines) < step:
            raise StoreError(
                f"{other / LOG} has {len(lines)} lines",
                wanted=f"{step}, one for each step",
                fix=f"move {other} away; the run then goes on from an older attempt, or starts again",
            )
        write_whole(self.folder / LOG, "".join(lines[:step]))
        for path in score_files(other / "evaluations"):
            evaluation = load(Evaluation, path.read_text(encoding="utf-8"), str(path))
            if evaluation.step <= step:
                counts = pl.read_parquet(path.with_name("counts.parquet"))
                kept = path.with_name(PREDICTIONS)
                predictions = kept.read_bytes() if kept.is_file() else b""
                write_evaluation(self.folder / "evaluations", evaluation, counts, predictions)

    def clear_others(self) -> None:
        """Remove what earlier attempts left, but for their records."""
        for folder in self.others:
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != "record.json":
                    path.unlink(missing_ok=True)

    def publish(self, record: Stored) -> None:
        """Make this attempt the run, unless another one was first."""
        files = {name: digest(self.folder / name) for name in (LOG, WEIGHTS) if (self.folder / name).is_file()}
        record = record.model_copy(update={"files": files})
        with contextlib.suppress(FileExistsError):
            write_whole(self.store.run_folder(self.key) / "record.json", record.to_json(), exclusive=True)
        self.store.settle(self.key)
        self.claim.release()

    def give_up(self, record: Stored) -> None:
        """Leave the record of a failed or interrupted attempt."""
        write_whole(self.folder / "record.json", record.to_json())


def checkpoints(folders: Iterable[Path]) -> list[Path]:
    """All in these attempts' folders that look complete, the newest step first; whether one is intact, loading says.

    A checkpoint `step-<n>.pt` counts only once its sha256 is beside it.
    """
    found = [
        (int(match[1]), path)
        for folder in folders
        for path in folder.glob("step-*.pt")
        if (match := _CHECKPOINT.fullmatch(path.name)) and path.with_suffix(".sha256").is_file()
    ]
    return [path for _, path in sorted(found, reverse=True)]


def newest_step(run: Path) -> int:
    """The step that an attempt at the run in this folder would go on from; 0 if from the start."""
    newest = next(iter(checkpoints(run.glob("attempts/*"))), None)
    return int(newest.stem.removeprefix("step-")) if newest else 0


def score_files(folder: Path) -> list[Path]:
    """Of whole evaluations: names that begin with a dot are what a kill left of a write."""
    return sorted(path for path in folder.glob("*/scores.json") if not path.parent.name.startswith("."))


def read_evaluations(folders: Iterable[Path]) -> tuple[Evaluation, ...]:
    """All that lie in the folders, by step; of equal ones the first."""
    found: dict[str, Evaluation] = {}
    for folder in folders:
        for path in score_files(folder):
            evaluation = load(Evaluation, path.read_text(encoding="utf-8", errors="replace"), str(path))
            found.setdefault(evaluation.key, evaluation)
    return tuple(sorted(found.values(), key=lambda e: (e.step, e.final, e.dataset, e.split, e.key)))


def write_evaluation(
    folder: Path, evaluation: Evaluation, counts: pl.DataFrame, predictions: bytes = b""
) -> Evaluation:
    """Write `folder/<key>/` whole or not at all. Returns what is there now, with the sha256 of its counts.

    Args:
        folder: of evaluations.
        evaluation, counts: its scores, and what they come from.
        predictions: from `segrank.predictions.packed`.
    """
    table = io.BytesIO()  # written to a full disk, polars would raise an error of its own
    counts.write_parquet(table, compression="zstd", statistics=False)
    return copy_evaluation(folder, evaluation, table.getvalue(), predictions)


def copy_evaluation(folder: Path, evaluation: Evaluation, counts: bytes, predictions: bytes = b"") -> Evaluation:
    """`write_evaluation` of counts that are a file's already."""
    final = folder / evaluation.key
    temporary = folder / f".{evaluation.key}.{uuid.uuid4().hex[:8]}.tmp"
    temporary.mkdir(parents=True)
    try:
        write_whole(temporary / "counts.parquet", counts)
        written = evaluation.model_copy(update={"counts_sha256": digest(counts)})
        if predictions:
            write_whole(temporary / PREDICTIONS, predictions)
        write_whole(temporary / "scores.json", written.to_json())
        with contextlib.suppress(FileExistsError):
            try:
                temporary.rename(final)
            except OSError as error:
                if not final.is_dir():
                    raise
                raise FileExistsError from error
            fsync_folder(folder)
            return written
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return load(Evaluation, (final / "scores.json").read_text(encoding="utf-8"), str(final))
