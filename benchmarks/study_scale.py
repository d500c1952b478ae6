"""How long a study that is done takes to be looked at and gone on with, and what scheduling adds to a run of a minute.

    python benchmarks/study_scale.py [RUNS ...]

Makes stores of finished runs (10,000 and 1,000 unless told otherwise) in a temporary folder, and times `segrank status`
and `segrank study` on them as a user would, start of Python included: the fastest of three, and the processor time
that it took, which other work on the machine does not change much. Then the time that a slot of the local executor
stands empty between two runs.
"""

from __future__ import annotations

import itertools
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from segrank.record import Evaluation, Record, Scores
from segrank.store import Store
from segrank.study.coordinator import Coordinator
from segrank.study.local import LocalExecutor
from segrank.study.run_study import Quiet
from segrank.study.study import read_study
from segrank.study.unit import Unit, units_of

CLASSES = tuple(f"class {number}" for number in range(150))
"""As many as ADE20K has: scores are the larger part of what is read."""
SEEDS_A_CELL = 10


def make(folder: Path, runs: int) -> tuple[Path, Path, Sequence[Unit]]:
    """A study of so many runs, and a store in which all are finished."""
    file = folder / f"scale-{runs}.yaml"
    settings = ", ".join(f"{{lr-{n}: {{lr: {(n + 1) * 1e-5}}}}}" for n in range(runs // (2 * SEEDS_A_CELL)))
    file.write_text(
        f'encoders: ["small:shallow", "small:rope"]\nsettings: [{settings}]\nseeds: {SEEDS_A_CELL}\n'
        'set: {dataset: "scenes?size=32&train=8&val=4", weights: random, crop: 32, patch_size: 8}\n'
    )
    store, units = folder / f"store-{runs}", units_of(read_study(file), device="cpu").units
    for number, unit in enumerate(units):
        _publish(Store(store).run_folder(unit.key), unit, number / len(units))
    return file, store, units


def _publish(run: Path, unit: Unit, miou: float) -> None:
    """What a finished run leaves, without the disk's promise: only reading is timed."""
    scores = Scores(
        miou=miou, iou=(miou,) * len(CLASSES), scored_classes=CLASSES, pixel_accuracy=miou, pixels=1000
    )  # fmt: skip
    evaluation = Evaluation(
        key=unit.evaluations[0], run=unit.key, dataset=unit.spec.dataset, dataset_digest="d", split="val",
        precision="fp32", step=unit.spec.steps, final=True, classes=CLASSES, images=4, scores=scores, seconds=1.0,
    )  # fmt: skip
    record = Record(
        key=unit.key, status="ok", spec=unit.spec, identity={}, precision="fp32", attempt="0" * 12,
        step=unit.spec.steps, final=evaluation.key,
    )  # fmt: skip
    folder = run / "evaluations" / evaluation.key
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(evaluation.to_json())
    (run / "record.json").write_text(record.to_json())
    (run / "spec.json").write_text(unit.spec.model_dump_json())


def seconds(*arguments: str) -> str:
    """Of a command, the fastest of three, and of the processor."""
    times = []
    for _ in range(3):
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "segrank", *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        times.append((time.monotonic() - began, processor))
    return "{:.2f} s ({:.2f} s of the processor)".format(*min(times))


def empty_slot_s(folder: Path, runs: int = 20) -> float:
    """Between the end of a process and the start of the next in its place, the mean."""
    file = folder / "slot.yaml"
    file.write_text(
        f'encoders: "small:shallow"\nseeds: {runs}\n'
        "set: {dataset: scenes, weights: random, crop: 32, patch_size: 8}\n"
    )
    store, units = Store(folder / "slot"), units_of(read_study(file), device="cpu").units
    stamps = folder / "stamps"
    code = (
        "import sys, time, json, pathlib; began = time.monotonic(); run = pathlib.Path(sys.argv[1]);"
        "e = run / 'evaluations' / sys.argv[3]; e.mkdir(parents=True); (e / 'scores.json').write_text('{}');"
        "(run / 'record.json').write_text(json.dumps({'status': 'ok', 'key': run.name}));"
        "open(sys.argv[2], 'a').write(f'{began} {time.monotonic()}\\n')"
    )
    evaluations = {unit.key: unit.evaluations[0] for unit in units}

    def command(run: Path) -> tuple[str, ...]:
        return sys.executable, "-S", "-c", code, str(run), str(stamps), evaluations[run.name]

    states = Coordinator(units, store, LocalExecutor(), command, Quiet()).run(lambda: False)
    assert all(state.status == "done" for state in states)
    times = [tuple(float(part) for part in line.split()) for line in stamps.read_text().splitlines()]
    return statistics.fmean(after[0] - before[1] for before, after in itertools.pairwise(times))


def main(sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for runs in sizes:
            file, store, units = make(folder, runs)
            options = ("--store", str(store))
            resumed = seconds("study", str(file), *options, "--device", "cpu")  # writes the manifest that status reads
            looked = seconds("status", *options)
            print(f"{len(units)} finished runs: study {resumed}, status {looked}", flush=True)
        gap = empty_slot_s(folder)
        print(f"an empty slot: {gap:.3f} s, start of Python included; {gap / 60:.2%} of a minute")


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1000, 10_000])
