"""Two processes do the run of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import segrank
from segrank.attempt import WEIGHTS
from segrank.record import Record
from segrank.spec import RunSpec
from segrank.store import Store

SPEC = RunSpec(
    encoder="small:shallow", weights="random", dataset="scenes?size=32&train=12&val=5", crop=(32, 32),
    patch_size=8, steps=3, batch_size=4, lr=1e-3, encoder_lr_multiplier=1.0, images_per_class=2,
)  # fmt: skip
TIMEOUT_S = 180


def command(spec: RunSpec, folder: Path) -> list[str]:
    """Of two processes; each image by itself, so that gradients are both accumulated and exchanged."""
    folder.mkdir()
    file = folder / "spec.yaml"
    file.write_text(spec.to_yaml())
    options = ["--store", str(folder), "--device", "cpu", "--devices", "2", "--micro-batch", "1"]
    return [sys.executable, "-m", "segrank", "run", str(file), *options]


def execute(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """In a session of its own: at the time limit all of its processes are ended."""
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        out, error = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, error = process.communicate()
        pytest.fail(f"not done after {TIMEOUT_S} s:\n{out}\n{error}")
    return subprocess.CompletedProcess(arguments, process.returncode, out, error)


def finished(folder: Path) -> Record:
    [record] = Store(folder).scan(lambda error: pytest.fail(str(error)))
    assert record.status == "ok"
    return record


def assert_same_run(folder: Path, other: Path) -> None:
    one, two = finished(folder), finished(other)
    assert one.key == two.key
    weights = [load_file(Store(f).file(r, WEIGHTS)) for f, r in ((folder, one), (other, two))]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        if name.endswith("qkv.bias"):
            # softmax does not see a bias of the keys: its gradient is rounding, and Adam makes that a step
            for tensor in (value, weights[1][name]):
                tensor.view(3, -1)[1] = 0
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=1e-5, msg=name)
    logs = [Store(f).log(one.key) for f in (folder, other)]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]] == [1, 2, 3]
    assert [line["lr"] for line in logs[0]] == [line["lr"] for line in logs[1]]
    assert [line["loss"] for line in logs[0]] == pytest.approx([line["loss"] for line in logs[1]], rel=1e-4)
    assert [e.key for e in one.evaluations] == [e.key for e in two.evaluations]
    for mine, theirs in zip(one.evaluations, two.evaluations, strict=True):
        counts = [Store(f).counts(e) for f, e in ((folder, mine), (other, theirs))]
        kept = [Store(f).predictions(e) for f, e in ((folder, mine), (other, theirs))]
        assert [one.name for one in kept[0]] == [one.name for one in kept[1]]
        assert counts[0].schema == counts[1].schema
        # every image once, and in the same order
        names = [table["image"].unique(maintain_order=True).to_list() for table in counts]
        assert names[0] == names[1]
        assert len(names[0]) == mine.images == theirs.images
        assert mine.scores.pixels == theirs.scores.pixels
        assert mine.scores.scored_classes == theirs.scores.scored_classes
        assert mine.scores.miou == pytest.approx(theirs.scores.miou, abs=0.01)


def test_two_processes_give_the_run_of_one(tmp_path: Path) -> None:
    segrank.run(SPEC, store=tmp_path / "1", device="cpu", micro_batch=1)
    done = execute(command(SPEC, tmp_path / "2"))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("status ")]
    assert len(told) == 1, done.stdout  # one process speaks
    assert_same_run(tmp_path / "1", tmp_path / "2")
    assert finished(tmp_path / "2").provenance.devices == 2


@pytest.mark.parametrize("decoder", ["mask2former", "eomt"])
def test_mask_decoders_train_in_two_processes(tmp_path: Path, decoder: str) -> None:
    """Each process draws its own points, so this is not the run of one."""
    spec = SPEC.replace(encoder="small:plain", decoder=decoder, freeze=decoder == "mask2former", batch_size=2, steps=2)
    done = execute(command(spec, tmp_path / "store"))
    assert done.returncode == 0, done.stderr
    record = finished(tmp_path / "store")
    assert (record.status, record.provenance.devices) == ("ok", 2)
    assert [line["step"] for line in Store(tmp_path / "store").log(record.key)] == [1, 2]


@pytest.mark.parametrize("where", ["train", "val"])
def test_what_one_process_fails_at_is_the_error_of_the_run(tmp_path: Path, where: str) -> None:
    data = tmp_path / "data"
    pixels = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32)
    for split in ("train", "val"):
        (data / split).mkdir(parents=True)
        for index in range(8):
            Image.fromarray(np.stack([pixels] * 3, -1)).save(data / split / f"{index}.bmp")
            Image.fromarray(pixels % 3).save(data / split / f"{index}.png")
    damaged = data / where / "5.png"  # of val, the second process has the odd ones
    damaged.write_bytes(damaged.read_bytes()[:60])
    splits = "".join(f"  {split}: {{images: {split}/*.bmp, masks: {split}/*.png}}\n" for split in ("train", "val"))
    (data / "eight.yaml").write_text(f"name: eight\nclasses: [a, b, c]\nsplits:\n{splits}")
    done = execute(command(SPEC.replace(dataset=str(data / "eight.yaml"), steps=9), tmp_path / "store"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{where}/5.png" in done.stderr
    [record] = Store(tmp_path / "store").scan(lambda error: pytest.fail(str(error)))
    assert record.status == "failed"
    assert record.error.startswith("DataError")
    assert f"{where}/5.png" in record.error
