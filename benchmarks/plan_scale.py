"""How long `segrank plan` takes on a study of ten thousand runs, all but a few finished.

    python benchmarks/plan_scale.py [RUNS]

Five small encoders under two settings, each a thousand times. Their records are written without training; everything
else is as users have it. The process is timed whole, start of Python included.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from segrank.record import Cost, Evaluation, Provenance, Record, Scores
from segrank.store import Store
from segrank.study.observations import place_of
from segrank.study.study import read_study
from segrank.study.unit import Unit, units_of

STUDY = """
name: many
about: what planning costs
encoders: [dinov2-small, dino-small, eva02-small, pe-core-small, deit3-in1k-small]
settings: [base, freeze]
seeds: {seeds}
set: {{dataset: scenes, weights: random, crop: 128, steps: 100}}
"""


def finish(store: Store, unit: Unit) -> None:
    """What a run leaves that is done, but for its log, weights and counts."""
    run = store.run_folder(unit.key)
    host = place_of("cpu").removeprefix("cpu of ")
    evaluation = Evaluation(
        key=unit.evaluations[0], run=unit.key, dataset=unit.spec.dataset, dataset_digest="sha256:0", split="val",
        precision="fp32", step=100, final=True, classes=("a", "b"), images=64, seconds=3.0,
        scores=Scores(miou=0.5, iou=(0.5, 0.5), scored_classes=("a", "b"), pixel_accuracy=0.6, pixels=1000),
    )  # fmt: skip
    record = Record(
        key=unit.key, status="ok", spec=unit.spec, identity={}, precision="fp32", step=100, attempt="0" * 12,
        final=evaluation.key,
        cost=Cost(train_s=40.0 + unit.spec.seed % 7, optimizer_s=1.0, data_wait_s=2.0, evaluation_s=3.0,
                  forward_flops=10**9, train_flops=3 * 10**9, trained_parameters=10**6, micro_batch=16),
        provenance=Provenance(device="cpu", host=host, attempts=1, devices=1, started="2026-01-01T00:00:00+00:00",
                              finished="2026-01-01T00:01:00+00:00"),
    )  # fmt: skip
    folder = run / "evaluations" / evaluation.key
    folder.mkdir(parents=True)
    (run / "record.json").write_text(record.to_json())
    (folder / "scores.json").write_text(evaluation.to_json())


def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study, store = folder / "many.yaml", Store(folder / "store")
        study.write_text(STUDY.format(seeds=max(1, runs // 10)))
        units = units_of(read_study(study), device="cpu").units
        for unit in units[:-5]:
            finish(store, unit)
        command = [sys.executable, "-m", "segrank", "plan", str(study), "--store", str(store.folder), "--device", "cpu"]
        for _ in range(3):
            started, before = time.perf_counter(), sum(_cpu())
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"{len(units)} runs: {time.perf_counter() - started:.2f} s, {sum(_cpu()) - before:.2f} s of CPU")
        print(done.stdout)


def _cpu() -> tuple[float, float]:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime, used.ru_stime


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
