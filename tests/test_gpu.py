"""What only a GPU does: mixed precision, fused AdamW, and going on with such a run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import segrank
from segrank.attempt import WEIGHTS
from segrank.progress import Silent
from segrank.spec import Precision, RunSpec
from segrank.store import Store

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]

SPEC = RunSpec(
    encoder="small:shallow", weights="random", dataset="scenes?size=32&train=24&val=8", crop=(32, 32), patch_size=8,
    steps=8, batch_size=4, lr=1e-3, encoder_lr_multiplier=1.0,
)  # fmt: skip


class StopAt(Silent):
    """Asks for a stop when a step of training is done."""

    def __init__(self, step: int) -> None:
        self.step = step

    def advance(self, work: str, done: int, total: int, note: str = "") -> None:
        if work == "train" and done == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_mixed_precision_run_resumed_equals_the_uninterrupted(tmp_path: Path, precision: Precision) -> None:
    if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this GPU does not do bf16")
    spec = SPEC.replace(precision=precision)
    whole = segrank.run(spec, store=tmp_path / "whole", device="cuda", workers=1)
    stopped = segrank.run(spec, store=tmp_path / "cut", device="cuda", workers=1, reporter=StopAt(3))
    assert (stopped.status, stopped.step) == ("interrupted", 3)
    cut = segrank.run(spec, store=tmp_path / "cut", device="cuda", workers=1)
    assert whole.precision == cut.precision == precision
    assert whole.cost.peak_device_gib
    assert whole.provenance.device == torch.cuda.get_device_name()
    expected = load_file(Store(tmp_path / "whole").file(whole, WEIGHTS))
    for name, value in load_file(Store(tmp_path / "cut").file(cut, WEIGHTS)).items():
        if name.endswith("qkv.bias"):
            # softmax does not see a bias of the keys: its gradient is rounding, and Adam makes that a step
            for tensor in (value, expected[name]):
                tensor.view(3, -1)[1] = 0
        # GPU kernels add in no fixed order
        torch.testing.assert_close(value, expected[name], rtol=1e-2, atol=2e-3, msg=name)
    losses = [[line["loss"] for line in Store(tmp_path / which).log(whole.key)] for which in ("whole", "cut")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_a_gpu_and_a_cpu_give_the_same_run_in_fp32(tmp_path: Path) -> None:
    spec = SPEC.replace(precision="fp32", steps=2)
    records = {device: segrank.run(spec, store=tmp_path / device, device=device) for device in ("cpu", "cuda")}
    assert records["cpu"].key == records["cuda"].key
    losses = {d: [line["loss"] for line in Store(tmp_path / d).log(r.key)] for d, r in records.items()}
    assert losses["cpu"] == pytest.approx(losses["cuda"], rel=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("decoder", ["mask2former", "eomt"])
def test_mask_decoders_train_and_score(tmp_path: Path, decoder: str, precision: Precision) -> None:
    if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this GPU does not do bf16")
    spec = SPEC.replace(encoder="small:plain", decoder=decoder, precision=precision, score_precision=precision)
    record = segrank.run(spec, store=tmp_path, device="cuda", workers=1)
    assert (record.status, record.precision) == ("ok", precision)
    losses = [line["loss"] for line in Store(tmp_path).log(record.key)]
    assert losses[-1] < losses[0]
