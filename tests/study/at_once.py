"""An engine without processes, for what a study does around one."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.attempt import LOG, WEIGHTS, Attempt
from segrank.pretrain.record import PretrainRecord
from segrank.pretrain.spec import PretrainSpec
from segrank.pretrain.store import PRETRAINING, PretrainStore
from segrank.record import Evaluation, Record, Scores
from segrank.spec import RunSpec
from segrank.store import Store
from segrank.study.executor import Job
from segrank.study.study import study_of
from segrank.study.tries import add_failure
from segrank.study.unit import Unit, units_of


class AtOnce:
    """An engine whose jobs are over when they are started."""

    lasting = False
    slots = 2

    def __init__(self, *, same_score: bool = False, failing: str = "") -> None:
        self.same_score, self.failing = same_score, failing
        self.started: list[str] = []

    def start(self, jobs: Sequence[Job]) -> None:
        assert len(jobs) <= self.slots
        for job in jobs:
            if job.run.parent.name == PRETRAINING:
                self._pretrain(job)
                continue
            spec = RunSpec.model_validate_json((job.run / "spec.json").read_bytes())
            miou = 0.5 if self.same_score else int(job.key[:8], 16) / 16**8
            [unit] = units_of(study_of([spec]), device="cpu").units
            assert unit.key == job.key
            _publish(Store(job.run.parents[1]), unit, miou)
            self.started.append(job.key)

    def _pretrain(self, job: Job) -> None:
        """Its weights are the bytes of its objective."""
        spec = PretrainSpec.model_validate_json((job.run / "spec.json").read_bytes())
        self.started.append(spec.encoder)
        if spec.called == self.failing:
            add_failure(job.run, "it burst")
            return
        attempt = PretrainStore(job.run.parents[1]).begin(job.key, spec)
        assert attempt is not None
        (attempt.folder / WEIGHTS).write_bytes(spec.encoder.encode())
        (attempt.store.run_folder(job.key) / "weights.card.json").write_text("{}")
        if spec.objective != "none":
            (attempt.folder / LOG).write_text("")
        attempt.publish(
            PretrainRecord(key=job.key, status="ok", spec=spec, identity={}, precision="fp32", attempt=attempt.token)
        )

    def alive(self) -> set[str]:
        return set()

    waiting = alive

    def how_it_ended(self, key: str) -> str:
        return ""

    def stop(self, key: str) -> None:
        raise AssertionError("nothing is running")

    kill = stop

    def close(self) -> None:
        pass


def _publish(store: Store, unit: Unit, miou: float) -> None:
    import polars as pl

    scores = Scores(miou=miou, iou=(miou, 0.0), scored_classes=("sky", "car"), pixel_accuracy=miou, pixels=7)
    evaluation = Evaluation(
        key=unit.evaluations[0], run=unit.key, dataset="scenes", dataset_digest="d", split=unit.spec.eval_split,
        precision="fp32", step=unit.spec.steps, final=True, classes=("sky", "car"), images=1, scores=scores,
        seconds=1.0,
    )  # fmt: skip
    counts = pl.DataFrame({"image": ["a"], "kind": ["confusion"], "a": [0], "b": [0], "pixels": [7]})
    attempt: Attempt | None = store.begin(unit.key, unit.spec) if not store.published(unit.key) else None
    if attempt is None:
        store.add_evaluation(evaluation, counts)
        return
    attempt.add_evaluation(evaluation, counts)
    attempt.publish(
        Record(
            key=unit.key, status="ok", spec=unit.spec, identity={}, precision="fp32", attempt=attempt.token,
            final=evaluation.key,
        )
    )  # fmt: skip
