"""What is asked of an engine, before there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning_fabric import Fabric

from segrank.assemble import make_fabric
from segrank.errors import SegrankError
from segrank.study.engines import Engine, engine
from segrank.study.slurm_options import slurm_options


@pytest.mark.parametrize(
    ("on", "slurm", "ray", "said"),
    [
        (Engine.LOCAL, ["time=5"], [], "add --on slurm"),
        (Engine.SLURM, ["time=5"], ["gpus=1"], "add --on ray"),
        (Engine.SLURM, ["partition=gpu"], [], "limit of time"),
        (Engine.SLURM, ["time=0"], [], '"0" is no time'),
        (Engine.SLURM, ["time=1:2:3:4"], [], "is no time"),
        (Engine.SLURM, ["time=5", "array=0-9"], [], "set by segrank"),
        (Engine.SLURM, ["time=5", "comment=a\ntouch pwned"], [], "no option of sbatch"),
        (Engine.SLURM, ["time=5", "-p=gpu"], [], "no option of sbatch"),
        (Engine.SLURM, ["time=5", "mem="], [], "no option of sbatch"),
        (Engine.RAY, [], [], "no address"),
        (Engine.RAY, [], ["gpu=1"], "no option of a Ray task"),
        (Engine.RAY, [], ["gpus=-1"], "no option of a Ray task"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, on: Engine, slurm: list[str], ray: list[str], said: str
) -> None:
    with pytest.raises(SegrankError, match=said):
        engine(on, slurm=slurm, ray=ray, store=tmp_path, say=lambda _: None)
    assert not list(tmp_path.iterdir())


def test_options_of_sbatch_go_as_they_are() -> None:
    options = slurm_options(["time=1-12", "cpus=8", "gres=gpu:a100:2", "exclusive", "comment=it's $(x)"])
    assert options.time_min == 36 * 60
    assert options.sbatch == {
        "cpus-per-task": "8", "gres": "gpu:a100:2", "exclusive": True, "comment": "it's $(x)",
    }  # fmt: skip


def test_in_a_job_of_several_tasks_a_run_is_still_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_JOB_NAME": "segrank-x",
        "SLURM_NNODES": "2", "SLURM_NODEID": "1", "SLURM_JOB_ID": "5", "SLURM_NODELIST": "n[1-2]",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match="SLURM"):
        Fabric(accelerator="cpu", devices=1)
    fabric = make_fabric("cpu", 1, "fp32")
    fabric.launch()
    assert (fabric.global_rank, fabric.world_size) == (0, 1)
