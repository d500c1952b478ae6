"""Step logs in trackers: what TensorBoard reads is what the run wrote."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from segrank.cli import app
from segrank.errors import StoreError
from segrank.runner import run
from segrank.spec import RunSpec
from segrank.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    spec = RunSpec(
        encoder="small:shallow", weights="random", dataset="scenes?size=32&train=8&val=2", crop=(32, 32), patch_size=8,
        steps=3, batch_size=2,
    )  # fmt: skip
    run(spec, store=folder)
    return Store(folder)


def test_tensorboard_has_the_step_log_once_however_often_it_is_written(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        done = CliRunner().invoke(
            app, ["mirror", "--store", str(store.folder), "--tensorboard", str(tmp_path / "events")]
        )
        assert done.exit_code == 0, done.output
    (key,) = store.run_keys()
    events = EventAccumulator(str(tmp_path / "events" / key)).Reload()
    read = [(point.step, point.value) for point in events.Scalars("train/loss")]
    assert read == [(line["step"], pytest.approx(line["loss"])) for line in store.log(key)]
    record = store.published(key)
    assert record is not None
    assert record.evaluation is not None
    assert [point.value for point in events.Scalars("score/mIoU val")] == [pytest.approx(record.evaluation.scores.miou)]


def test_wandb_gets_the_same_and_stays_offline(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake in its place: the package itself is not among those that tests install."""
    given: dict[str, Any] = {}
    logged: list[tuple[int, dict[str, float]]] = []
    handle = SimpleNamespace(
        log=lambda values, step: logged.append((step, values)), finish=lambda: given.update(finished=True)
    )

    def init(**options: Any) -> SimpleNamespace:
        given.update(options)
        return handle

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    (key,) = store.run_keys()
    done = CliRunner().invoke(app, ["mirror", key[:5], "--store", str(store.folder), "--wandb", "p"])
    assert done.exit_code == 0, done.output
    assert (given["project"], given["id"], given["mode"], given["finished"]) == ("p", key, "offline", True)
    assert given["config"]["dataset"] == "scenes?size=32&train=8&val=2"
    assert [(step, values["train/loss"]) for step, values in logged if "train/loss" in values] == [
        (line["step"], line["loss"]) for line in store.log(key)
    ]


def test_the_log_of_a_run_that_is_still_training(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path)
    folder = other.run_folder("0" * 16) / "attempts" / "a"
    folder.mkdir(parents=True)
    with pytest.raises(StoreError, match="no step log yet"):
        other.log("0" * 16)
    line = json.dumps({"step": 1, "loss": 2.0, "lr": 0.1})
    (folder / "log.jsonl").write_text(f'{line}\n{{"step": 2, "lo')
    assert other.log("0" * 16) == [{"step": 1, "loss": 2.0, "lr": 0.1}]


def test_nothing_is_asked_for(store: Store) -> None:
    assert CliRunner().invoke(app, ["mirror", "--store", str(store.folder)]).exit_code == 2
