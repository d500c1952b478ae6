"""What a pretraining takes, predicted: FLOPs against torch's count, times from what was seen."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from segrank.pretrain.record import PretrainRecord
from segrank.pretrain.spec import OBJECTIVE_FIELDS, PretrainSpec
from segrank.pretrain.store import PretrainStore
from segrank.record import Provenance
from segrank.study.flops import work_of
from segrank.study.observations import place_of
from segrank.study.plan import plan_study
from segrank.study.planned import StudyPlan
from segrank.study.pretraining_cost import passes
from segrank.study.study import read_study

ARCHITECTURE = "timm:vit_tiny_patch16_224?embed_dim=192&depth=6&num_heads=3"
FIELDS: dict[str, Any] = {
    "architecture": ARCHITECTURE, "dataset": "scenes?size=96&train=10", "crop": 96, "patch_size": 8, "batch_size": 2,
}  # fmt: skip
OBJECTIVES = ("supervised", "pixel-mim", "abstract-mim", "self-distillation", "contrastive", "promptable")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_passes_are_what_torch_counts_without_heads(objective: Any) -> None:
    pytest.importorskip("lightly", reason="pretraining needs lightly")
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from segrank.data import open_dataset
    from segrank.pretrain.network import build_network
    from segrank.pretrain.objectives import OBJECTIVES as WAYS
    from segrank.pretrain.views import batches_of_views
    from segrank.spec import RunSpec

    spec = PretrainSpec(objective=objective, steps=1, **FIELDS)
    dataset = open_dataset(spec.dataset)
    way = WAYS[spec.objective]
    module = way.build(spec, build_network(spec), len(dataset.classes))
    [views] = batches_of_views(dataset.split("train"), way.views(spec), seed=0, batch_size=2, steps=1)
    # what torch has for a CPU's attention it does not count
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:
        module(views).backward()
    one = work_of(
        RunSpec(encoder=ARCHITECTURE, weights="random", dataset="scenes", crop=(96, 96), patch_size=8), classes=1
    )
    assert one is not None
    assert counted.get_total_flops() / 2 == pytest.approx(passes(spec, 6) * one.forward_flops, rel=0.1)


STUDY = f"""
pretrain:
  set: {{architecture: "{ARCHITECTURE}", dataset: "scenes?size=96&train=10", crop: 96, patch_size: 8, steps: 50}}
  objectives: [supervised, contrastive, none]
  seeds: 2
set: {{dataset: "scenes?size=32&train=8&val=4", crop: 32, patch_size: 8, steps: 100}}
encoders: [{{name: floor, encoder: "{ARCHITECTURE}", weights: random}}]
"""


def finish(store: PretrainStore, plan: StudyPlan, encoder: str, train_s: float) -> None:
    """What a pretraining leaves that took so long."""
    [run] = [run for run in plan.runs if run.encoder == encoder and run.settings == ("pretraining",)]
    assert isinstance(run.spec, PretrainSpec)
    record = PretrainRecord(
        key=run.key, status="ok", spec=run.spec, identity={}, precision="fp32", step=50, train_s=train_s,
        attempt="0" * 12,
        provenance=Provenance(device="cpu", host=place_of("cpu").removeprefix("cpu of "), devices=1, attempts=1),
    )  # fmt: skip
    store.run_folder(run.key).mkdir(parents=True)
    (store.run_folder(run.key) / "record.json").write_text(record.to_json())
    (store.run_folder(run.key) / "weights.safetensors").write_bytes(b"weights")


def test_a_plan_covers_pretrainings_and_what_waits_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGRANK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.yaml").write_text(STUDY)
    store = PretrainStore(tmp_path / "store")

    def plan() -> StudyPlan:
        return plan_study(read_study(tmp_path / "mine.yaml"), store=store.folder, device="cpu")

    first = plan()
    assert [run.status for run in first.runs] == ["waiting"] * 13
    assert first.total().unknown == 11
    assert math.isfinite(first.total().high_s)  # of `none`, which takes no time whatever was measured
    assert first.needs == ()
    finish(store, first, "supervised-0", 100.0)
    then = {(run.encoder, run.settings[0]): run for run in plan().runs}
    assert then["supervised-0", "pretraining"].status == "done"
    assert then["supervised-0", "pretraining"].took_s == 100.0
    assert then["supervised-0", "base"].key  # its weights are there
    assert not then["contrastive-0", "base"].key
    assert then["supervised-1", "pretraining"].prediction.train_s == pytest.approx(100.0)
    two_passes = then["contrastive-0", "pretraining"].prediction
    assert two_passes.train_s == pytest.approx(200.0)  # two views, each trained
    assert two_passes.flops == 2 * (then["supervised-0", "pretraining"].prediction.flops or 0)


def test_every_field_of_one_objective_that_decides_its_time_is_in_the_passes() -> None:
    assert set(OBJECTIVE_FIELDS) == {
        "mask_ratio", "local_views",  # counted
        "target_blocks", "teacher_momentum", "prototypes", "temperature", "clicks",  # of heads and losses
    }  # fmt: skip
