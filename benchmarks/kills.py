"""Kill a run of half a minute ten times at random moments, and compare what it leaves with an undisturbed run.

    python benchmarks/kills.py [FOLDER]

Prints a line for each kill and each comparison; exits with 1 if anything differs. Takes about 3 minutes on 2 cores.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path

from segrank.attempt import LOG, WEIGHTS, checkpoints
from segrank.record import Record
from segrank.spec import RunSpec
from segrank.store import Store

KILLS = 10
CHECKPOINT_EVERY_S = 1
SPEC = RunSpec(
    encoder="small:rope",
    weights="random",
    dataset="scenes?size=96&train=2000&val=60",
    crop=(96, 96),
    patch_size=8,
    steps=200,
    batch_size=16,
    lr=2e-3,
    encoder_lr_multiplier=1.0,
)


def command(spec: Path, store: Path) -> list[str]:
    every = str(CHECKPOINT_EVERY_S)
    run = ["run", str(spec), "--store", str(store), "--device", "cpu", "--checkpoint-every", every]
    return [sys.executable, "-m", "segrank", *run]


def finished(store: Path) -> tuple[Store, Record]:
    opened = Store(store)
    [record] = opened.scan(lambda error: sys.exit(str(error)))
    return opened, record


def main(folder: Path) -> int:
    chance = random.Random(0)
    spec = folder / "spec.yaml"
    spec.write_text(SPEC.to_yaml())
    subprocess.run(command(spec, folder / "whole"), check=True, capture_output=True)
    whole_store, whole = finished(folder / "whole")

    kills = 0
    while kills < KILLS:
        process = subprocess.Popen(
            command(spec, folder / "killed"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        began = process.stderr.readline()  # its first line comes once everything is imported
        try:
            process.communicate(timeout=chance.uniform(0, 6))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            attempts = Store(folder / "killed").run_folder(whole.key) / "attempts"
            newest = next(iter(checkpoints(attempts.iterdir())), None)
            print(f"kill {kills}: newest checkpoint {newest.stem if newest else 'none'}", flush=True)
            continue
        print(f"it finished after {kills} kills; began with {began!r}")
        break
    subprocess.run(command(spec, folder / "killed"), check=True, capture_output=True)
    killed_store, killed = finished(folder / "killed")
    times = f"train {killed.cost.train_s:.1f} s, undisturbed {whole.cost.train_s:.1f} s"
    print(f"{killed.provenance.attempts} attempts; {times}")

    same = {
        name: whole_store.file(whole, name).read_bytes() == killed_store.file(killed, name).read_bytes()
        for name in (WEIGHTS, LOG)
    }
    same["scores"] = [(e.key, e.scores) for e in whole.evaluations] == [(e.key, e.scores) for e in killed.evaluations]
    same["counts"] = all(
        whole_store.counts(one).equals(killed_store.counts(other))
        for one, other in zip(whole.evaluations, killed.evaluations, strict=True)
    )
    for name, equal in same.items():
        print(f"{name}: {'equal' if equal else 'DIFFERENT'}")
    return 0 if all(same.values()) and kills == KILLS else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(Path(temporary)))
