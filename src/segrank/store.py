"""Store: the results folder. What lies in an attempt's own folder, `attempt` and `claims` know. No torch here.

    STORE/runs/<key>/ spec.json  record.json  log.jsonl  weights.safetensors
                      claim                     (while somebody runs it)
                      attempts/<token>/         (one per attempt; gone when the run is published)
                      evaluations/<key>/ scores.json  counts.parquet  predictions.npz

A run is published by linking its record.json, which fails if there is one: of two attempts that finish, one
wins. The winner's files then move up from its attempt; the next `segrank run` completes a move that was cut, and
until then readers look in both places.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from segrank.attempt import LOG, PREDICTIONS, WEIGHTS, Attempt, read_evaluations, score_files, write_evaluation
from segrank.claims import Claim, is_alive_here
from segrank.errors import ClaimError, StoreError
from segrank.files import digest, fsync_folder, write_whole
from segrank.predictions import Prediction, unpacked
from segrank.record import Evaluation, Record, load

if TYPE_CHECKING:
    import polars as pl

DEFAULT_STORE = "segrank-store"
_KEY = re.compile(r"[0-9a-f]{16}")


class Store:
    """A results folder. Opening one creates nothing; running in it does."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def run_folder(self, key: str) -> Path:
        return self.folder / "runs" / key

    def run_keys(self) -> list[str]:
        """Of all runs that were ever begun here, sorted."""
        runs = self.folder / "runs"
        return sorted(entry.name for entry in runs.iterdir() if _KEY.fullmatch(entry.name)) if runs.is_dir() else []

    def find(self, beginning: str) -> str:
        """The one key that begins so.

        Raises:
            StoreError: none does, or several do.
        """
        found = [key for key in self.run_keys() if key.startswith(beginning)] if beginning else []
        if len(found) == 1:
            return found[0]
        raise StoreError(
            f'{len(found) or "no"} runs in {self.folder} begin with "{beginning[:80]}"',
            wanted="the beginning of one run's key",
            fix="`segrank show` lists the runs",
        )

    def published(self, key: str) -> Record | None:
        """The record of a finished run, with its evaluations; none if it is not finished.

        Raises:
            StoreError: the record or an evaluation is damaged, of a newer segrank, or cannot be read.
        """
        path = self.run_folder(key) / "record.json"
        try:
            return self._read(path, key)
        except FileNotFoundError:
            return None

    def record(self, key: str) -> Record | None:
        """The published record, else that of the newest attempt that ended and can be read, else none.

        Raises:
            StoreError: as `published`.
        """
        if published := self.published(key):
            return published
        attempts = [
            record
            for path in self.run_folder(key).glob("attempts/*/record.json")
            for record in self._readable(path, key)
        ]
        return max(attempts, key=lambda record: record.provenance.finished, default=None)

    def running(self, key: str) -> dict[str, Any] | None:
        """What the claim of an unfinished run and its owner's heartbeat say: machine, pid, step, steps.

        None without a claim, or if its owner was on this machine and is dead. On another one it may be dead as well.
        """
        folder = self.run_folder(key)
        try:
            owner: dict[str, Any] = json.loads((folder / "claim").read_text())
            heartbeat = folder / "attempts" / owner["token"] / "heartbeat"
            # one that has only begun has no heartbeat yet
            state = json.loads(heartbeat.read_text()) if heartbeat.exists() else {}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if is_alive_here(owner) is False else {**owner, **state}

    def scan(self, on_damage: Callable[[StoreError], None]) -> Iterator[Record]:
        """All records; damaged ones are handed to `on_damage` and left out."""
        for key in self.run_keys():
            try:
                record = self.record(key)
            except StoreError as error:
                on_damage(error)
                continue
            if record:
                yield record

    def log(self, key: str) -> list[dict[str, float]]:
        """The step log of a run: step, loss, lr. Of one that is not published, what its newest attempt has written.

        Raises:
            StoreError: there is none, or it is damaged.
        """
        record = self.published(key)
        logs = [self.file(record, LOG)] if record else self.run_folder(key).glob(f"attempts/*/{LOG}")
        newest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
        if newest is None:
            raise StoreError(f"run {key} has no step log yet", fix="wait until it trains")
        lines = newest.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        try:  # the last line may be on its way
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except ValueError as error:
            raise StoreError(f"{newest} is damaged: {error}", fix="restore it, or run the spec again") from error

    def file(self, record: Record, name: str) -> Path:
        """A file of a published run, wherever a publication that was cut has left it.

        Raises:
            StoreError: it is not there, or not as it was published.
        """
        if (path := self.find_file(record, name)) is not None:
            if digest(path) != record.files.get(name):
                raise StoreError(f"{path} is not as it was published: its sha256 differs", fix="restore it")
            return path
        raise StoreError(f"run {record.key} kept no {name}", fix="run it again into a new store, keeping its weights")

    def find_file(self, record: Record, name: str) -> Path | None:
        """As `file`, whatever is in it; none if it is not there."""
        folder = self.run_folder(record.key)
        places = (folder / name, folder / "attempts" / record.attempt / name)
        return next((path for path in places if path.is_file()), None)

    def counts(self, evaluation: Evaluation) -> pl.DataFrame:
        """The per-image counts behind an evaluation's scores."""
        import polars as pl

        return pl.read_parquet(self.counts_file(evaluation))

    def counts_file(self, evaluation: Evaluation) -> Path:
        """Where these counts lie.

        Raises:
            StoreError: they are not there, or not as they were written.
        """
        for folder in self._evaluation_folders(evaluation.run, attempt="*"):
            path = folder / evaluation.key / "counts.parquet"
            if path.is_file():
                if digest(path) != evaluation.counts_sha256:
                    raise StoreError(f"{path} is not as it was written: its sha256 differs", fix="restore it")
                return path
        raise StoreError(f"the counts of evaluation {evaluation.key} are gone", fix="evaluate the run again")

    def predictions(self, evaluation: Evaluation) -> list[Prediction]:
        """Of some of its images; none of an evaluation that kept none.

        Raises:
            StoreError: the file is damaged.
        """
        path = self.predictions_file(evaluation)
        return unpacked(path) if path else []

    def predictions_file(self, evaluation: Evaluation) -> Path | None:
        folders = self._evaluation_folders(evaluation.run, attempt="*")
        paths = (folder / evaluation.key / PREDICTIONS for folder in folders)
        return next((path for path in paths if path.is_file()), None)

    def add_evaluation(self, evaluation: Evaluation, counts: pl.DataFrame, predictions: bytes = b"") -> Evaluation:
        """Add one to a published run; one that is there already stays.

        Raises:
            StoreError: the folder cannot be written.
        """
        folder = self.run_folder(evaluation.run) / "evaluations"
        with _writing(folder):
            return write_evaluation(folder, evaluation, counts, predictions)

    def begin(self, key: str, spec: BaseModel, *, notify: Callable[[str], None] = lambda _: None) -> Attempt | None:
        """Claim a run and make a new attempt at it; none if it was published while we waited.

        Raises:
            ClaimError: somebody else is at it.
            StoreError: the folder cannot be written.
        """
        folder = self.run_folder(key)
        token = uuid.uuid4().hex[:12]
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            claim = Claim.take(folder, token, notify=notify)
            try:
                if self.published(key):
                    claim.release()
                    return None
                (folder / "attempts" / token).mkdir(parents=True)
                write_whole(folder / "spec.json", spec.model_dump_json(indent=1) + "\n")
            except BaseException:
                claim.release()
                raise
        claim.start_heartbeat()
        return Attempt(self, key, claim)

    def join(self, key: str, token: str) -> Attempt:
        """The attempt that another process of the same run has begun."""
        return Attempt(self, key, Claim(self.run_folder(key), token))

    def settle(self, key: str) -> None:
        """Complete a publication that was cut, and remove what attempts left."""
        record = self._finished(key)
        folder = self.run_folder(key)
        winner = folder / "attempts" / record.attempt
        for name in (LOG, WEIGHTS):
            with contextlib.suppress(FileNotFoundError):
                (winner / name).replace(folder / name)
        for path in score_files(winner / "evaluations"):
            target = folder / "evaluations" / path.parent.name
            target.parent.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):  # there already: an evaluation's key says what is in it
                path.parent.rename(target)
        fsync_folder(folder)
        shutil.rmtree(folder / "attempts", ignore_errors=True)

    def tidy(self, key: str) -> None:
        """`settle` a published run, unless the process that published it is still at it."""
        folder = self.run_folder(key)
        if (folder / "attempts").is_dir() or (folder / "claim").exists():
            with contextlib.suppress(ClaimError, OSError):  # a reader may lack the right to write
                claim = Claim.take(folder, uuid.uuid4().hex[:12], notify=lambda _: None)
                try:
                    self.settle(key)
                finally:
                    claim.release()

    def _finished(self, key: str) -> Record:
        record = self.published(key)
        if record is None:
            raise StoreError(f"run {key} in {self.folder} is not finished", fix="finish it with the same command")
        return record

    def _read(self, path: Path, key: str) -> Record:
        try:
            record = load(Record, path.read_text(encoding="utf-8", errors="replace"), str(path))
            if record.key != key:
                raise StoreError(f"{path} holds the record of run {record.key}", wanted=key)
            return record.model_copy(update={"evaluations": self._evaluations(key, record.attempt)})
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}", fix="check its permissions and the disk") from error

    def _readable(self, path: Path, key: str) -> list[Record]:
        """An attempt's record tells what went wrong; a damaged one must not stand in the way of the next attempt."""
        with contextlib.suppress(StoreError, FileNotFoundError):
            return [self._read(path, key)]
        return []

    def _evaluation_folders(self, key: str, attempt: str) -> list[Path]:
        folder = self.run_folder(key)
        return [folder / "evaluations", *folder.glob(f"attempts/{attempt}/evaluations")]

    def _evaluations(self, key: str, attempt: str) -> tuple[Evaluation, ...]:
        folders = self._evaluation_folders(key, attempt)
        try:
            found = read_evaluations(folders)
        except FileNotFoundError:  # moved up just now, by whoever settles the run
            found = read_evaluations(folders)
        if strangers := [evaluation.key for evaluation in found if evaluation.run != key]:
            raise StoreError(f"evaluation {strangers[0]} in run {key} is of another run", fix="move it away")
        return found


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}", fix="choose another --store or free space") from error
