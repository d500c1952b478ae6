"""The unit of work: one run folder, gone on with wherever it stands. Whatever ends it, the same command goes on.

    python -m segrank work STORE/runs/<key>
    python -m segrank work STORE/pretraining/<key>

`spec.json` in the folder says what to run. torch is imported when the run begins.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from pathlib import Path
from typing import Any

from segrank.errors import ClaimError, SegrankError, StoreError
from segrank.pretrain.needed import check_lightly
from segrank.pretrain.spec import PretrainSpec
from segrank.pretrain.store import PRETRAINING
from segrank.progress import Reporter
from segrank.record import Status
from segrank.spec import RunSpec
from segrank.study.tries import Try, forget

DONE, FAILED, BUSY, STOPPED = 0, 1, 75, 130
"""Exit codes: published and scored; an error; somebody else is at it; a stop was asked for."""


def work(run: Path, *, reporter: Reporter, **how: Any) -> int:
    """Do the run in this folder, or go on with it, or find it done.

    Args:
        run: STORE/runs/<key> or STORE/pretraining/<key>, with a spec.json that comes to that key.
        reporter: where progress goes besides the folder.
        how: as for `segrank.run`: root, device, devices, workers and so on.

    Returns:
        `DONE`, `BUSY` or `STOPPED`.

    Raises:
        SegrankError: the run failed. Its try says so as well.
    """
    run = run.absolute()
    if os.environ.get("LOCAL_RANK", "0") != "0":  # a process that DDP has started: the first one speaks for all
        return _work(run, reporter, how)
    try:
        mine = Try.begin(run)
    except OSError as error:
        raise StoreError(f"{run} cannot be written: {error}", fix="free space, or mend its permissions") from error
    try:
        code = _work(run, _Noting(reporter, mine), how)
    except ClaimError as error:
        with contextlib.suppress(OSError):
            mine.end("busy", str(error))
        reporter.say(str(error))
        return BUSY
    except BaseException as error:
        with contextlib.suppress(OSError):  # whoever started this process sees that it ended
            mine.end("interrupted" if isinstance(error, KeyboardInterrupt) else "failed", _told(error))
        raise
    if code == DONE:
        forget(run)
    else:
        with contextlib.suppress(OSError):
            mine.end("interrupted")
    return code


def _work(run: Path, reporter: Reporter, how: dict[str, Any]) -> int:
    pretraining = run.parent.name == PRETRAINING
    try:
        spec = (PretrainSpec if pretraining else RunSpec).model_validate_json((run / "spec.json").read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{run / 'spec.json'} cannot be read: {' '.join(str(error).split())[:400]}",
            fix="start the study again: it writes that file",
        ) from error
    status = (_pretrain if pretraining else _run)(spec, store=run.parents[1], key=run.name, reporter=reporter, **how)
    return STOPPED if status == "interrupted" else DONE


def _run(spec: Any, **how: Any) -> Status:
    from segrank.runner import run

    return run(spec, **how).status


def _pretrain(spec: Any, *, micro_batch: int | None = None, keep_weights: bool = True, **how: Any) -> Status:
    """Its batches are not split, and its weights are what it is for: these options are of runs alone."""
    check_lightly()
    from segrank.pretrain.runner import pretrain

    return pretrain(spec, **how).status


def _told(error: BaseException) -> str:
    """The error first; one that is not ours needs the place where it came from as well."""
    notes = getattr(error, "__notes__", [])
    frames = [] if isinstance(error, SegrankError) else traceback.format_tb(error.__traceback__)[-3:]
    return "\n".join([f"{type(error).__name__}: {error}", *notes, *frames])


class _Noting:
    """Keeps the try up to date with what the run reports."""

    def __init__(self, reporter: Reporter, mine: Try) -> None:
        self._reporter, self._try = reporter, mine

    def say(self, text: str) -> None:
        self._reporter.say(text)

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        self._try.note(work, done, total)
        self._reporter.advance(work, done, total, note)
