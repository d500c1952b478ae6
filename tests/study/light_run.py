"""A run without torch that goes through the real store, claims, tries and executors, and can be made to fail.

    python light_run.py work RUN                      what an executor starts: a checkpoint every 4 steps
    python light_run.py study STORE RUNS JOBS STEPS   a coordinator for so many runs, so many at once

What it computes is a chain of digests, so that its score shows whether any step was left out, repeated or damaged. Each
step that is executed is appended to STORE/executed/<key>, with its process.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segrank import claims
from segrank.attempt import LOG, Attempt, checkpoints
from segrank.errors import ClaimError, SegrankError
from segrank.files import digest, write_whole
from segrank.record import Evaluation, Record, Scores
from segrank.spec import RunSpec, key_of
from segrank.stop import stop_signals
from segrank.store import Store
from segrank.study.tries import Try, forget

STEPS, EVERY, STEP_S = 40, 4, 0.01
EVALUATION = "e" * 16


def spec_of(number: int, steps: int = STEPS) -> RunSpec:
    return RunSpec(
        encoder="small:shallow", dataset="scenes", weights="random", steps=steps, seed=number, precision="fp32"
    )


def key_for(number: int) -> str:
    return key_of({"light": number})


def after(spec: RunSpec, value: str, step: int) -> str:
    """The work of one step."""
    return digest(f"{value} {spec.seed} {step}")


def expected(number: int, steps: int = STEPS) -> float:
    """mIoU of an undisturbed run."""
    spec, value = spec_of(number), ""
    for step in range(1, steps + 1):
        value = after(spec, value, step)
    return score_of(value)


def score_of(value: str) -> float:
    return int(value[:12], 16) / 16**12


def work(run: Path) -> int:
    """As `segrank.study.work`."""
    fault = Fault(run)
    mine = Try.begin(run)
    try:
        with stop_signals() as stop:
            code = _work(run, mine, fault, stop)
    except ClaimError as error:
        mine.end("busy", str(error))
        return 75
    except BaseException as error:
        with contextlib.suppress(OSError):
            mine.end("failed", f"{type(error).__name__}: {error}")
        raise
    if code == 0:
        forget(run)
    else:
        mine.end("interrupted")
    return code


def _work(run: Path, mine: Try, fault: Fault, stop: Callable[[], bool]) -> int:
    spec = RunSpec.model_validate_json((run / "spec.json").read_bytes())
    attempt = Store(run.parents[1]).begin(run.name, spec)
    if attempt is None:
        return 0
    try:
        step, value = _restore(attempt)
        with (attempt.folder / LOG).open("a") as log:
            while step < spec.steps:
                step, value = step + 1, after(spec, value, step + 1)
                time.sleep(STEP_S)
                _executed(run, step)
                attempt.claim.state.update(step=step, steps=spec.steps)
                mine.note("train", step, spec.steps)
                log.write(json.dumps({"step": step}) + "\n")
                fault.at(step)
                if stop() or step % EVERY == 0:
                    attempt.check()
                    log.flush()
                    os.fsync(log.fileno())
                    _save(attempt, step, value)
                if stop():
                    attempt.claim.release()
                    return 130
        _publish(attempt, spec, score_of(value))
        return 0
    except BaseException:
        attempt.claim.release()
        raise


def _restore(attempt: Attempt) -> tuple[int, str]:
    for path in checkpoints(attempt.others):
        content = path.read_bytes()
        if digest(content) == path.with_suffix(".sha256").read_text():
            state = json.loads(content)
            attempt.inherit(path.parent, step=state["step"])
            _save(attempt, state["step"], state["value"])
            attempt.clear_others()
            return state["step"], state["value"]
    return 0, ""


def _save(attempt: Attempt, step: int, value: str) -> None:
    path = attempt.folder / f"step-{step:09d}.pt"
    content = json.dumps({"step": step, "value": value})
    write_whole(path, content)
    write_whole(path.with_suffix(".sha256"), digest(content))
    for old in sorted(attempt.folder.glob("step-*.pt"))[:-2]:
        old.with_suffix(".sha256").unlink()
        old.unlink()


def _publish(attempt: Attempt, spec: RunSpec, miou: float) -> None:
    import polars as pl

    scores = Scores(miou=miou, iou=(miou,), scored_classes=("sky",), pixel_accuracy=miou, pixels=7)
    evaluation = Evaluation(
        key=EVALUATION, run=attempt.key, dataset="scenes", dataset_digest="d", split="val", precision="fp32",
        step=spec.steps, final=True, classes=("sky",), images=1, scores=scores, seconds=1.0,
    )  # fmt: skip
    counts = pl.DataFrame({"image": ["a"], "kind": ["confusion"], "a": [0], "b": [0], "pixels": [7]})
    attempt.check()
    attempt.add_evaluation(evaluation, counts)
    identity = {"light": spec.seed}
    record = Record(
        key=attempt.key, status="ok", spec=spec, identity=identity, precision="fp32", attempt=attempt.token,
        step=spec.steps, final=EVALUATION,
    )  # fmt: skip
    attempt.publish(record)


def _executed(run: Path, step: int) -> None:
    """Appended in one write, so that a kill leaves it whole or not at all."""
    path = run.parents[1] / "executed" / run.name
    path.parent.mkdir(exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(f"{os.getpid()} {step}\n".encode())


class Fault:
    """What is to go wrong: STORE/faults/<key>.json, {"what", "step", "times"}."""

    def __init__(self, run: Path) -> None:
        self._path = run.parents[1] / "faults" / f"{run.name}.json"
        self._fault: dict[str, Any] = {}
        if self._path.is_file():
            self._fault = json.loads(self._path.read_text())
            if self._fault.get("times", 1) <= 0:
                self._fault = {}
        claims.HEARTBEAT_S, claims.SILENCE_S = 0.5, 2.0
        if machine := self._fault.get("machine"):  # the next process is on another one
            claims._this_machine = lambda: machine
            self._count()

    def at(self, step: int) -> None:
        if step != self._fault.get("step"):
            return
        self._count()
        what = self._fault["what"]
        if what == "hang":
            while True:
                time.sleep(1)
        if what == "exit":
            os._exit(137)
        if what == "crash":
            raise SegrankError("it crashes", fix="nothing helps")
        if what in ("checkpoint", "record", "everything"):
            _refuse(what, getattr(errno, self._fault["errno"]))

    def _count(self) -> None:
        self._path.write_text(json.dumps({**self._fault, "times": self._fault.get("times", 1) - 1}))


def _refuse(what: str, number: int) -> None:
    """From now on the disk takes no checkpoint, no record, or nothing at all from this process."""
    real = os.fsync
    parts = {"checkpoint": "/.step-", "record": "/.record.json", "everything": ""}

    def fsync(descriptor: int) -> None:
        if parts[what] in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    os.fsync = fsync  # type: ignore[assignment]


# ---------------------------------------------------------------- the study


def units(count: int, steps: int = STEPS) -> list[Any]:
    from segrank.study.unit import Unit

    return [Unit(key_for(n), (EVALUATION,), f"encoder-{n}", ("base",), spec_of(n, steps)) for n in range(count)]


def command(run: Path) -> tuple[str, ...]:
    return sys.executable, __file__, "work", str(run)


class Lines:
    """A board that writes what is said to standard output."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)
        print(text, flush=True)

    def show(self, units: Sequence[Any], states: Sequence[Any]) -> None:
        pass


def study(store: Path, runs: int, jobs: int, steps: int) -> int:
    """Brings `runs` light runs home, adopting what an earlier one has left."""
    from segrank.study.bringing_home import adopt
    from segrank.study.coordinator import Care, Coordinator
    from segrank.study.local import LocalExecutor

    executor, board, all_units = LocalExecutor(jobs=jobs), Lines(), units(runs, steps)
    adopted = adopt(executor, Store(store), all_units, board)
    care = Care(tries=1000, pause_s=0.0)
    try:
        with stop_signals() as stop:
            states = Coordinator(all_units, Store(store), executor, command, board, care, adopted).run(stop)
    except KeyboardInterrupt:
        return 130
    return 0 if all(state.status == "done" for state in states) else 130


if __name__ == "__main__":
    if sys.argv[1] == "work":
        sys.exit(work(Path(sys.argv[2])))
    sys.exit(study(Path(sys.argv[2]), *map(int, sys.argv[3:6])))
