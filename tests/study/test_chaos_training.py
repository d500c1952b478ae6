"""Ten kills of real training in a study, and every bit is as if there had been none."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import PATIENCE_S, wait

from segrank.attempt import LOG, WEIGHTS, newest_step
from segrank.claims import is_alive_here
from segrank.files import digest
from segrank.store import Store
from segrank.study.state import read_state
from segrank.study.study import read_study
from segrank.study.tries import read_tries
from segrank.study.unit import Unit, units_of

STUDY = """
encoders: ["small:shallow", "small:rope"]
settings: [{short: {steps: 90}}]
set:
  {dataset: "scenes?size=32&train=16&val=40", weights: random, crop: 32, patch_size: 8, batch_size: 2, lr: 1e-3}
"""
KILLS = 10


def test_ten_kills_of_real_training_change_no_bit(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(STUDY)
    units, missing = units_of(read_study(tmp_path / "short.yaml"), device="cpu")
    assert not missing
    subprocess.run(command(tmp_path, "whole"), check=True, capture_output=True, timeout=PATIENCE_S)
    process = subprocess.Popen(
        command(tmp_path, "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        kill(tmp_path / "killed", units, random.Random(0))
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
        for unit in units:
            for pid in workers(tmp_path / "killed", unit):
                os.kill(pid, signal.SIGKILL)
    assert process.returncode == 0, said
    for unit in units:
        expected, found = (results(tmp_path / name, unit.key) for name in ("whole", "killed"))
        assert found.pop("attempts") > expected.pop("attempts") == 1
        assert found == expected


def command(folder: Path, store: str) -> list[str]:
    options = [
        "--store",
        str(folder / store),
        "--device",
        "cpu",
        "--jobs",
        "2",
        "--checkpoint-every",
        "0",
        "--tries",
        "9",
    ]
    return [sys.executable, "-m", "segrank", "study", str(folder / "short.yaml"), *options]


def kill(store: Path, units: tuple[Unit, ...], chance: random.Random) -> None:
    """Whenever one of the two has got some steps further."""
    reached = dict.fromkeys(units, 0)
    for number in range(KILLS):
        unit = units[number % 2]
        run = Store(store).run_folder(unit.key)
        target = min(reached[unit] + chance.randint(2, 14), 89)
        wait(lambda run=run, unit=unit, target=target: newest_step(run) >= target and workers(store, unit))  # type: ignore[misc]
        for pid in workers(store, unit):
            os.kill(pid, signal.SIGKILL)
        reached[unit] = newest_step(run)
        assert read_state(run, unit.evaluations).status != "done"


def workers(store: Path, unit: Unit) -> list[int]:
    known = read_tries(Store(store).run_folder(unit.key)).values()
    return [int(one["pid"]) for one in known if "outcome" not in one and is_alive_here(one)]


def results(folder: Path, key: str) -> dict[str, Any]:
    store = Store(folder)
    record = store.published(key)
    assert record is not None
    return {
        "attempts": record.provenance.attempts,
        "weights": digest(store.file(record, WEIGHTS)),
        "log": digest(store.file(record, LOG)),
        "scores": {evaluation.key: evaluation.scores for evaluation in record.evaluations},
        "counts": {evaluation.key: store.counts(evaluation).rows() for evaluation in record.evaluations},
    }
