"""The whole path: spec -> run -> record, and everything that may happen on the way."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import segrank
from segrank.attempt import LOG, WEIGHTS, checkpoints
from segrank.errors import DataError, EncoderError, SpecError, StoreError, TrainingError
from segrank.files import digest
from segrank.record import Record
from segrank.runner import run
from segrank.spec import RunSpec
from segrank.store import Store

SPEC = RunSpec(
    encoder="small:shallow", weights="random", dataset="scenes?size=32&train=24&val=8", crop=(32, 32), patch_size=8,
    steps=10, batch_size=4, lr=1e-3, encoder_lr_multiplier=1.0,
)  # fmt: skip


class StopAt:
    """A reporter that does something when a step of training is done."""

    def __init__(self, step: int, action: Callable[[], None], work: str = "train") -> None:
        self.step, self.action, self.work = step, action, work
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        if work == self.work and done == self.step:
            self.action()


def sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def results(store: Path, record: Record) -> dict[str, Any]:
    """All that must be equal, bit for bit, between two ways of doing one run."""
    opened = Store(store)
    return {
        "weights": digest(opened.file(record, WEIGHTS)),
        "log": digest(opened.file(record, LOG)),
        "scores": {e.key: e.scores for e in record.evaluations},
        "counts": {e.key: opened.counts(e).rows() for e in record.evaluations},
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    store = tmp_path_factory.mktemp("undisturbed")
    return store, run(SPEC, store=store)


def test_a_run_leaves_a_record_from_which_its_score_can_be_had_again(
    undisturbed: tuple[Path, Record],
) -> None:
    store, record = undisturbed
    assert record.status == "ok"
    assert record.evaluation is not None
    counts = Store(store).counts(record.evaluation)
    # IoU by hand from the table
    rows = counts.select("a", "b", "pixels").rows()
    ious = []
    for c in range(len(record.evaluation.classes)):
        if any(truth == c for truth, _, _ in rows):
            hit = sum(pixels for truth, predicted, pixels in rows if truth == predicted == c)
            ious.append(hit / sum(pixels for truth, predicted, pixels in rows if c in (truth, predicted)))
    assert record.miou == pytest.approx(sum(ious) / len(ious), abs=1e-12)
    # along the way: at 1/8, 1/4, 1/2, 3/4 of 10 steps
    assert [e.step for e in record.evaluations] == [1, 2, 5, 8, 10]
    assert [line["step"] for line in Store(store).log(record.key)] == list(range(1, 11))
    cost = record.cost
    assert cost.train_s > 0
    assert cost.evaluation_s > 0
    assert cost.peak_host_gib is not None
    assert cost.encoder_parameters == cost.trained_parameters - cost.decoder_parameters  # type: ignore[operator]
    assert record.provenance.torch == torch.__version__
    assert segrank.Store(store).record(record.key) == record


def test_a_finished_run_is_found_and_not_redone(undisturbed: tuple[Path, Record]) -> None:
    store, record = undisturbed
    assert run(SPEC, store=store).to_json() == record.to_json()


def test_a_run_that_reads_other_things_than_its_study_did_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"makes it run [0-9a-f]{16}, not 0000000000000000"):
        run(SPEC, store=tmp_path, key="0" * 16)
    assert not list(tmp_path.iterdir())


def test_another_split_only_adds_an_evaluation(undisturbed: tuple[Path, Record], tmp_path: Path) -> None:
    store, record = undisturbed
    again = run(SPEC.replace(eval_split="shift"), store=store)
    assert again.key == record.key
    assert again.evaluation is not None
    assert again.evaluation.split == "shift"
    assert len(again.evaluations) == len(record.evaluations) + 1
    evaluation = segrank.evaluate_run(Store(store), record, split="shift")
    assert evaluation == again.evaluation


def test_evaluating_the_kept_weights_gives_the_runs_own_score(undisturbed: tuple[Path, Record]) -> None:
    store, record = undisturbed
    assert segrank.evaluate_run(Store(store), record).scores == record.evaluation.scores  # type: ignore[union-attr]


def test_stopped_and_gone_on_with_equals_undisturbed(undisturbed: tuple[Path, Record], tmp_path: Path) -> None:
    first = run(SPEC, store=tmp_path, reporter=StopAt(3, sigterm))
    assert (first.status, first.step, first.miou) == ("interrupted", 3, None)
    second = run(SPEC, store=tmp_path, reporter=StopAt(7, sigterm))
    assert (second.status, second.step) == ("interrupted", 7)
    record = run(SPEC, store=tmp_path)
    assert results(tmp_path, record) == results(*undisturbed)
    assert record.provenance.attempts == 3
    assert record.provenance.started == first.provenance.started


def test_a_frozen_run_resumes_too_and_leaves_its_encoder_alone(tmp_path: Path) -> None:
    spec = SPEC.replace(freeze=True)
    whole = run(spec, store=tmp_path / "whole")
    run(spec, store=tmp_path / "cut", reporter=StopAt(4, sigterm))
    cut = run(spec, store=tmp_path / "cut")
    assert results(tmp_path / "cut", cut) == results(tmp_path / "whole", whole)
    from segrank.assemble import build_segmenter

    initial = build_segmenter(spec, 1)[0].encoder.state_dict()
    trained = load_file(Store(tmp_path / "cut").file(cut, WEIGHTS))
    assert all(torch.equal(value, trained[f"encoder.{name}"]) for name, value in initial.items())
    assert cut.cost.trained_parameters == cut.cost.decoder_parameters


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    undisturbed: tuple[Path, Record], tmp_path: Path, damage: str
) -> None:
    run(SPEC, store=tmp_path, checkpoint_every_s=0, reporter=StopAt(6, sigterm))
    attempts = Store(tmp_path).run_folder(undisturbed[1].key) / "attempts"
    newest = checkpoints(attempts.iterdir())[0]
    content = bytearray(newest.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    _finish(undisturbed, tmp_path, "going on from step 5 of 10")


def test_a_checkpoint_that_the_disk_does_not_take_loses_nothing_earned(
    undisturbed: tuple[Path, Record], tmp_path: Path
) -> None:
    """A real refusal by the system, in the middle of torch's own writer: files may not grow over 1 MB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = StopAt(6, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, before[1])))
    try:
        with pytest.raises(StoreError, match="File too large"):
            run(SPEC, store=tmp_path, checkpoint_every_s=0, reporter=full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    [failed] = Store(tmp_path).scan(lambda error: pytest.fail(str(error)))
    assert (failed.status, failed.step) == ("failed", 6)
    assert "File too large" in failed.error
    _finish(undisturbed, tmp_path, "going on from step 5 of 10")


def test_a_disk_too_full_for_the_record_loses_nothing_earned(
    undisturbed: tuple[Path, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        if "/.record.json" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        run(SPEC, store=tmp_path)
    monkeypatch.undo()
    _finish(undisturbed, tmp_path, "going on from step 10 of 10")


def _finish(undisturbed: tuple[Path, Record], store: Path, said: str) -> None:
    reporter = StopAt(-1, sigterm)
    record = run(SPEC, store=store, reporter=reporter)
    assert said in reporter.said
    assert results(store, record) == results(*undisturbed)
    assert not list(store.rglob("*.tmp"))


def test_a_failed_run_is_a_record_with_its_error(tmp_path: Path) -> None:
    spec = SPEC.replace(lr=100.0, encoder_lr_multiplier=100.0)
    with pytest.raises(TrainingError, match="the loss is"):
        run(spec.replace(steps=200), store=tmp_path)
    [record] = Store(tmp_path).scan(lambda error: pytest.fail(str(error)))
    assert record.status == "failed"
    assert "TrainingError: the loss is" in record.error
    assert record.miou is None


def test_five_kills_change_nothing(undisturbed: tuple[Path, Record], tmp_path: Path) -> None:
    """SIGKILL in the middle of steps, evaluations and checkpoint writing, again and again."""
    import random

    chance = random.Random(0)
    spec = SPEC.replace(steps=60, dataset="scenes?size=32&train=24&val=40")
    whole = run(spec, store=tmp_path / "whole")
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    command = [sys.executable, "-m", "segrank", "run", str(tmp_path / "spec.yaml")]
    command += ["--store", str(tmp_path / "killed"), "--checkpoint-every", "0"]
    kills, steps = 0, 0
    while kills < 5:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        # wait until it trains, then for a random number of bytes of its log
        log = Store(tmp_path / "killed").run_folder(whole.key) / "attempts"
        target = steps + chance.randint(1, 10)
        while process.poll() is None and _steps(log) < target:
            os.sched_yield()
        process.kill()
        process.communicate()
        kills += 1
        steps = max(steps, _steps(log))
        if steps >= spec.steps - 6:
            break
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    record = Store(tmp_path / "killed").record(whole.key)
    assert record is not None
    assert kills == 5
    assert record.provenance.attempts > 3
    assert results(tmp_path / "killed", record) == results(tmp_path / "whole", whole)


def _steps(attempts: Path) -> int:
    found = checkpoints(path for path in attempts.glob("*") if path.is_dir())
    return int(found[0].stem.removeprefix("step-")) if found else 0


def test_mixed_precision_on_a_cpu_is_scored_in_float32_and_said(tmp_path: Path) -> None:
    record = run(SPEC.replace(steps=8, precision="bf16"), store=tmp_path)
    assert record.precision == "bf16"
    assert [e.precision for e in record.evaluations] == ["bf16", "bf16", "bf16", "bf16", "fp32"]
    tensors = load_file(Store(tmp_path).file(record, WEIGHTS))
    assert {value.dtype for value in tensors.values()} == {torch.float32}


def test_the_micro_batch_changes_the_gradient_by_rounding_only(tmp_path: Path) -> None:
    logs = []
    for size in (1, 3, 4):
        record = run(SPEC.replace(steps=1), store=tmp_path / str(size), micro_batch=size)
        logs.append(load_file(Store(tmp_path / str(size)).file(record, WEIGHTS)))
        assert record.cost.micro_batch == size
        # AdamW's first step is the sign of the gradient; its second moments hold the gradient itself
    for other in logs[1:]:
        for name, value in logs[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dataset": "nowhere.yaml"}, (DataError, SpecError), "nowhere.yaml"),
        ({"train_split": "trian"}, DataError, "train"),
        ({"eval_split": "tset"}, DataError, "val"),
        ({"eval_dataset": "OTHER_CLASSES"}, DataError, "those that the run is trained for"),
        ({"precision": "fp16"}, SpecError, "needs a GPU"),
    ],
)
def test_what_cannot_run_is_said_before_anything_is_trained(
    tmp_path: Path, change: dict[str, Any], error: Any, message: str
) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "other.yaml").write_text(
        'name: other\nclasses: [a, b]\nsplits: {val: {images: "i/*.png", masks: "m/*.png"}}\n'
    )
    change = {
        name: str(tmp_path / "other.yaml") if value == "OTHER_CLASSES" else value for name, value in change.items()
    }
    with pytest.raises(error, match=message):
        run(SPEC.replace(steps=1, **change), store=tmp_path / "store", device="cpu")
    assert not (tmp_path / "store").exists()


def test_a_stop_in_the_middle_of_an_evaluation_keeps_the_training(
    undisturbed: tuple[Path, Record], tmp_path: Path
) -> None:
    for work, step in (("evaluate on val at step 5", 5), ("evaluate on val", 10)):
        reporter = StopAt(2, sigterm, work=work)
        stopped = run(SPEC, store=tmp_path, reporter=reporter)
        assert (stopped.status, stopped.step) == ("interrupted", step)
    assert results(tmp_path, run(SPEC, store=tmp_path)) == results(*undisturbed)


def test_workers_do_not_end_with_a_signal_to_the_whole_group(undisturbed: tuple[Path, Record], tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace(steps=2000).to_yaml())
    command = [sys.executable, "-m", "segrank", "run", str(tmp_path / "spec.yaml"), "--store", str(tmp_path)]
    process = subprocess.Popen(
        [*command, "--workers", "1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "step 250: mIoU" in line:  # an eighth of the steps: it trains, and has a worker
            os.killpg(process.pid, signal.SIGINT)
            break
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    [record] = Store(tmp_path).scan(lambda error: pytest.fail(str(error)))
    assert record.status == "interrupted"
    assert record.step >= 250


def test_an_own_encoder_that_changed_is_not_scored_with_old_weights(tmp_path: Path) -> None:
    source = "import torch\ndef build(crop, patch_size):\n    return torch.nn.Conv2d(3, 8, patch_size, patch_size)\n"
    (tmp_path / "model.py").write_text(source)
    spec = SPEC.replace(encoder=f"file:{tmp_path / 'model.py'}:build", steps=1)
    record = run(spec, store=tmp_path / "store")
    (tmp_path / "model.py").write_text(source + "# changed\n")
    with pytest.raises(EncoderError, match="has changed since run"):
        segrank.evaluate_run(Store(tmp_path / "store"), record, split="shift")
    assert run(spec, store=tmp_path / "store").key != record.key


def test_the_command_line_does_the_same_and_prints_without_a_terminal(tmp_path: Path) -> None:
    settings = [f"--set={k}={v}" for k, v in json.loads(SPEC.model_dump_json(exclude_defaults=True)).items()]
    done = subprocess.run(
        [sys.executable, "-m", "segrank", "run", *settings, "--set=steps=2", "--store", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mIoU" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    wrong = subprocess.run(
        [
            sys.executable,
            "-m",
            "segrank",
            "run",
            "--encoder",
            "timm:x",
            "--dataset",
            "scenes",
            "--set",
            "step=2",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode == 1
    assert 'did you mean "steps"?' in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize("changes", [{"lora_rank": 2}, {"trained_blocks": 1}])
def test_a_run_that_trains_a_part_resumes_and_is_scored_again(changes: dict[str, Any], tmp_path: Path) -> None:
    spec = SPEC.replace(encoder="small:plain", **changes)
    alone = run(spec, store=tmp_path / "a", checkpoint_every_s=0)
    run(spec, store=tmp_path / "b", reporter=StopAt(3, sigterm))
    record = run(spec, store=tmp_path / "b")
    assert (record.provenance.attempts, record.cost.trained_parameters) == (2, alone.cost.trained_parameters)
    assert results(tmp_path / "b", record) == results(tmp_path / "a", alone)
    assert record.cost.trained_parameters < record.cost.encoder_parameters / 2  # type: ignore[operator]
    again = segrank.evaluate_run(Store(tmp_path / "b"), record, split="shift")
    assert again.scores != record.evaluation.scores  # type: ignore[union-attr]


def test_adapters_are_trained_at_the_decoders_rate(tmp_path: Path) -> None:
    """AdamW's first step moves every weight by its rate, about, and B begins at zero."""
    record = run(SPEC.replace(lora_rank=2, steps=1, weight_decay=0, encoder_lr_multiplier=0.001), store=tmp_path)
    tensors = load_file(Store(tmp_path).file(record, WEIGHTS))
    moved = [value.abs().median() for name, value in tensors.items() if "lora_B" in name]
    assert len(moved) == 4
    assert all(float(value) == pytest.approx(SPEC.lr, rel=0.01) for value in moved)


@pytest.mark.parametrize(("changes", "images"), [({"train_fraction": 0.25}, 6), ({"images_per_class": 1}, None)])
def test_a_run_on_few_images_says_how_many(changes: dict[str, Any], images: int | None, tmp_path: Path) -> None:
    reporter = StopAt(99, sigterm)
    record = run(SPEC.replace(steps=1, **changes), store=tmp_path, reporter=reporter)
    drawn = record.provenance.train_images
    assert drawn is not None
    assert drawn < 12
    assert images in (None, drawn)
    assert f"drawn by seed 0: {drawn} of 24 images to train on" in reporter.said
    whole = run(SPEC.replace(steps=1), store=tmp_path)
    assert whole.provenance.train_images == 24
    assert whole.identity["dataset"] == record.identity["dataset"]
    assert whole.key != record.key
