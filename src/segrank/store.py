"""Store: the results folder, and the only place that knows its file names. No torch here.

    STORE/runs/<key>/ spec.json  record.json  log.jsonl  weights.safetensors
                      claim                     (while somebody runs it)
                      attempts/<token>/         (one per attempt; gone when the run is published)
                      evaluations/<key>/ scores.json  counts.parquet

A run is published by linking its record.json, which fails if there is one: of two attempts that finish, one
wins. The winner's files then move up from its attempt; whoever opens the run completes a move that was cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl

from segrank.claims import Claim
from segrank.errors import StoreError
from segrank.files import digest, fsync_folder, whole_file, write_whole
from segrank.record import Evaluation, Record, load
from segrank.spec import RunSpec

LOG = "log.jsonl"
WEIGHTS = "weights.safetensors"
_KEY = re.compile(r"[0-9a-f]{16}")


class Store:
    """A results folder. Opening one creates nothing; running in it does."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def run_folder(self, key: str) -> Path:
        return self.folder / "runs" / key

    def keys(self) -> list[str]:
        """Of all runs that were ever begun here, sorted."""
        runs = self.folder / "runs"
        return sorted(entry.name for entry in runs.iterdir() if _KEY.fullmatch(entry.name)) if runs.is_dir() else []

    def find(self, beginning: str) -> str:
        """The one key that begins so.

        Raises:
            StoreError: none does, or several do.
        """
        found = [key for key in self.keys() if key.startswith(beginning)] if beginning else []
        if len(found) == 1:
            return found[0]
        raise StoreError(
            f'{len(found) or "no"} runs in {self.folder} begin with "{beginning[:80]}"',
            wanted="the beginning of one run's key",
            fix="`segrank show` lists the runs",
        )

    def record(self, key: str) -> Record | None:
        """The published record, else that of the newest attempt that ended, else none.

        Raises:
            StoreError: a record or an evaluation is damaged or of a newer segrank.
        """
        folder = self.run_folder(key)
        ended = sorted(folder.glob("attempts/*/record.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in (folder / "record.json", *reversed(ended)):
            with contextlib.suppress(FileNotFoundError):
                record = load(Record, path.read_text(encoding="utf-8", errors="replace"), str(path))
                if record.key != key:
                    raise StoreError(f"{path} holds the record of run {record.key}", wanted=key)
                return record.model_copy(update={"evaluations": self._evaluations(key, record.attempt)})
        return None

    def scan(self, on_damage: Callable[[StoreError], None]) -> Iterator[Record]:
        """All records; damaged ones are handed to `on_damage` and left out."""
        for key in self.keys():
            try:
                record = self.record(key)
            except StoreError as error:
                on_damage(error)
                continue
            if record:
                yield record

    def log(self, key: str) -> list[dict[str, float]]:
        """The step log of a published run: step, loss, lr."""
        record = self._published(key)
        text = self.file(record, LOG).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def file(self, record: Record, name: str) -> Path:
        """A file of a published run, wherever a publication that was cut has left it.

        Raises:
            StoreError: it is not there, or not as it was published.
        """
        folder = self.run_folder(record.key)
        for path in (folder / name, folder / "attempts" / record.attempt / name):
            if path.is_file():
                if digest(path) != record.files.get(name):
                    raise StoreError(f"{path} is not as it was published: its sha256 differs", fix="restore it")
                return path
        raise StoreError(f"run {record.key} kept no {name}", fix="run it again into a new store, keeping its weights")

    def counts(self, evaluation: Evaluation) -> pl.DataFrame:
        """The per-image counts behind an evaluation's scores."""
        for folder in self._evaluation_folders(evaluation.run, attempt="*"):
            path = folder / evaluation.key / "counts.parquet"
            if path.is_file():
                if digest(path) != evaluation.counts_sha256:
                    raise StoreError(f"{path} is not as it was written: its sha256 differs", fix="restore it")
                return pl.read_parquet(path)
        raise StoreError(f"the counts of evaluation {evaluation.key} are gone", fix="evaluate the run again")

    def add_evaluation(self, evaluation: Evaluation, counts: pl.DataFrame) -> Evaluation:
        """Add one to a published run; one that is there already stays."""
        return write_evaluation(self.run_folder(evaluation.run) / "evaluations", evaluation, counts)

    def begin(self, key: str, spec: RunSpec, *, notify: Callable[[str], None] = lambda _: None) -> Attempt:
        """Claim a run and make a new attempt at it.

        Raises:
            ClaimError: somebody else is at it.
            StoreError: the folder cannot be written.
        """
        folder = self.run_folder(key)
        token = uuid.uuid4().hex[:12]
        try:
            (folder / "attempts" / token).mkdir(parents=True)
            claim = Claim.take(folder, token, notify=notify)
            write_whole(folder / "spec.json", spec.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be written: {error}", fix="choose another --store or free space"
            ) from error
        return Attempt(self, key, claim)

    def join(self, key: str, token: str) -> Attempt:
        """The attempt that another process of the same run has begun."""
        return Attempt(self, key, Claim(self.run_folder(key), token))

    def settle(self, key: str) -> None:
        """Complete a publication that was cut, and remove what attempts left."""
        record = self._published(key)
        folder = self.run_folder(key)
        winner = folder / "attempts" / record.attempt
        for name in record.files:
            with contextlib.suppress(FileNotFoundError):
                (winner / name).replace(folder / name)
        for path in sorted(winner.glob("evaluations/*/scores.json")):
            target = folder / "evaluations" / path.parent.name
            target.parent.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):  # there already: an evaluation's key says what is in it
                path.parent.rename(target)
        fsync_folder(folder)
        shutil.rmtree(folder / "attempts", ignore_errors=True)

    def _published(self, key: str) -> Record:
        record = self.record(key)
        if record is None or record.status != "ok":
            raise StoreError(f"run {key} in {self.folder} is not finished", fix="finish it with the same command")
        return record

    def _evaluation_folders(self, key: str, attempt: str) -> list[Path]:
        folder = self.run_folder(key)
        return [folder / "evaluations", *folder.glob(f"attempts/{attempt}/evaluations")]

    def _evaluations(self, key: str, attempt: str) -> tuple[Evaluation, ...]:
        return read_evaluations(self._evaluation_folders(key, attempt))


def read_evaluations(folders: Iterable[Path]) -> tuple[Evaluation, ...]:
    """All that lie in the folders, by step; of equal ones the first."""
    found: dict[str, Evaluation] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/scores.json")):
            evaluation = load(Evaluation, path.read_text(encoding="utf-8", errors="replace"), str(path))
            found.setdefault(evaluation.key, evaluation)
    return tuple(sorted(found.values(), key=lambda e: (e.step, e.final, e.dataset, e.split, e.key)))


def write_evaluation(folder: Path, evaluation: Evaluation, counts: pl.DataFrame) -> Evaluation:
    """Write `folder/<key>/` whole or not at all. Returns what is there now, with the sha256 of its counts."""
    final = folder / evaluation.key
    temporary = folder / f".{evaluation.key}.{uuid.uuid4().hex[:8]}.tmp"
    temporary.mkdir(parents=True)
    try:
        with whole_file(temporary / "counts.parquet") as file:
            counts.write_parquet(file, compression="zstd", statistics=False)
        written = evaluation.model_copy(update={"counts_sha256": digest(temporary / "counts.parquet")})
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

    def add_evaluation(self, evaluation: Evaluation, counts: pl.DataFrame) -> None:
        write_evaluation(self.folder / "evaluations", evaluation, counts)

    def evaluations(self) -> tuple[Evaluation, ...]:
        return read_evaluations([self.folder / "evaluations"])

    def inherit(self, other: Path, *, step: int) -> None:
        """Take over an earlier attempt's step log and evaluations, up to its checkpoint at `step`."""
        lines = (other / LOG).read_text(encoding="utf-8").splitlines(keepends=True)
        if len(lines) < step:
            raise StoreError(f"{other / LOG} has {len(lines)} lines", wanted=f"{step}, one for each step")
        write_whole(self.folder / LOG, "".join(lines[:step]))
        for path in other.glob("evaluations/*/scores.json"):
            evaluation = load(Evaluation, path.read_text(encoding="utf-8"), str(path))
            target = self.folder / "evaluations" / evaluation.key
            if evaluation.step <= step and not target.exists():
                temporary = target.with_name(f".{evaluation.key}.tmp")
                shutil.copytree(path.parent, temporary)
                temporary.rename(target)

    def publish(self, record: Record) -> Record:
        """Make this attempt the run, unless another one was first. Returns the run's record."""
        files = {name: digest(self.folder / name) for name in (LOG, WEIGHTS) if (self.folder / name).is_file()}
        record = record.model_copy(update={"files": files})
        with contextlib.suppress(FileExistsError):
            write_whole(self.store.run_folder(self.key) / "record.json", record.to_json(), exclusive=True)
        self.store.settle(self.key)
        self.claim.release()
        published = self.store.record(self.key)
        assert published is not None
        return published

    def give_up(self, record: Record) -> None:
        """Leave the record of a failed or interrupted attempt, and let the run go."""
        try:
            write_whole(self.folder / "record.json", record.to_json())
        finally:
            self.claim.release()
