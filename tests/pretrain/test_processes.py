"""Pretrainings in processes of their own: on two devices together, and by the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lightly", reason="pretraining needs lightly")

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from segrank.pretrain.runner import pretrain
from segrank.pretrain.spec import read_pretrainings
from segrank.pretrain.store import PretrainStore

TEXT = """
set:
  architecture: "timm:vit_tiny_patch16_224?embed_dim=32&depth=2&num_heads=2"
  dataset: {dataset}
  crop: 32
  patch_size: 8
  steps: 3
  batch_size: 4
objectives: [supervised, contrastive]
"""


def command(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "segrank", "pretrain", str(folder / "two.yaml"), "--store", str(folder / "store")]
    return subprocess.run(
        [*whole, "--device", "cpu", *more],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_two_processes_give_the_pretraining_of_one_and_its_encoder_goes_by_name(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(TEXT.format(dataset="scenes?size=48&train=10"))
    done = command(
        tmp_path, "--devices", "2", "--only", "supervised", "--into", str(tmp_path / "copies"), "--licence", "mit"
    )
    assert done.returncode == 0, done.stderr
    assert "1 pretraining: 1 done" in done.stdout
    [spec] = read_pretrainings(tmp_path / "two.yaml")[:1]
    one = pretrain(spec, store=tmp_path / "one", device="cpu")
    two = PretrainStore(tmp_path / "store").published(one.key)
    assert two is not None
    assert two.provenance.devices == 2
    weights = [
        load_file(tmp_path / place / "pretraining" / one.key / "weights.safetensors") for place in ("one", "store")
    ]
    for name, value in weights[0].items():
        if name.endswith("qkv.bias"):  # softmax does not see a bias of the keys: its gradient is rounding
            value.view(3, -1)[1] = weights[1][name].view(3, -1)[1]
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=1e-5, msg=name)
    logs = [
        (tmp_path / place / "pretraining" / one.key / "log.jsonl").read_text().splitlines()
        for place in ("one", "store")
    ]
    assert len(logs[0]) == len(logs[1]) == 3
    copy = load_file(tmp_path / "copies/supervised-0.safetensors")
    assert {value.dtype for value in copy.values()} == {torch.float16}
    assert all(torch.equal(copy[name], value.half()) for name, value in weights[1].items() if "qkv.bias" not in name)
    own = tmp_path / "store/pretraining" / one.key / "weights.card.json"
    cards = [json.loads(path.read_text()) for path in (own, tmp_path / "copies/supervised-0.card.json")]
    assert (cards[0].pop("licence"), cards[1].pop("licence")) == ("own", "mit")
    assert cards[0] == cards[1]


def test_an_image_that_one_process_cannot_read_is_the_error_of_both(tmp_path: Path) -> None:
    pixels = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32)
    for index in range(8):
        Image.fromarray(np.stack([pixels] * 3, -1)).save(tmp_path / f"{index}.bmp")
        Image.fromarray(pixels % 3).save(tmp_path / f"{index}.png")
    damaged = tmp_path / "5.bmp"
    damaged.write_bytes(damaged.read_bytes()[:60])
    (tmp_path / "eight.yaml").write_text(
        "name: eight\nclasses: [a, b, c]\nsplits:\n  train: {images: '*.bmp', masks: '*.png'}\n"
    )
    (tmp_path / "two.yaml").write_text(TEXT.format(dataset="eight.yaml"))
    done = command(tmp_path, "--devices", "2", "--only", "contrastive", "--tries", "1")
    assert done.returncode == 1
    assert "5.bmp" in done.stderr
    assert "5.bmp" in done.stdout
    assert "Traceback" not in done.stderr
