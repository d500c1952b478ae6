"""Which engine a study's runs go to. What an engine needs is imported when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

from segrank.errors import SegrankError
from segrank.study.executor import Executor
from segrank.study.slurm_options import slurm_options


class Engine(StrEnum):
    LOCAL = "local"
    SLURM = "slurm"
    RAY = "ray"


def engine(
    on: Engine,
    *,
    slurm: Sequence[str] = (),
    ray: Sequence[str] = (),
    store: Path,
    at_once: int | None = None,
    say: Callable[[str], None],
) -> Executor | None:
    """The engine to hand to `run_study`; none for this machine's processes.

    Args:
        on: which.
        slurm: what each job asks for, as long options of sbatch: `partition=gpu`.
        ray: `address=HOST:PORT` of a cluster, and `cpus=N`, `gpus=N` that a run takes.
        store: the results folder, which all machines share.
        at_once: so many runs at most at the same time.
        say: told what the user should know.

    Raises:
        SegrankError: it is not here, what it needs is not installed, or it does not take such jobs.
    """
    for name, given in ((Engine.SLURM, slurm), (Engine.RAY, ray)):
        if given and on != name:
            raise SegrankError(f"--{name} was given, and the runs are to be on {on}", fix=f"add --on {name}")
    try:
        if on == Engine.SLURM:
            options = slurm_options(slurm)
            from segrank.study.slurm import SlurmExecutor

            return SlurmExecutor(store / "slurm", options, at_once=at_once, say=say)
        if on == Engine.RAY:
            address, cpus, gpus = _ray_options(ray)
            from segrank.study.ray import RayExecutor

            return RayExecutor(address, cpus=cpus, gpus=gpus, at_once=at_once)
    except ModuleNotFoundError as error:
        raise SegrankError(f"{error.name} is not installed", fix=f"pip install 'segrank[{on}]'") from None
    return None


def _ray_options(assignments: Sequence[str]) -> tuple[str, float, float]:
    """Address, cpus, gpus."""
    given = {"address": "", "cpus": "1", "gpus": "0"}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in given or (name != "address" and not re.fullmatch(r"\d{1,4}(\.\d{1,4})?", value)):
            raise SegrankError(
                f'"{assignment[:80]}" is no option of a Ray task', wanted="address=HOST:PORT, cpus=N or gpus=N"
            )
        given[name] = value
    if not given["address"]:
        raise SegrankError("there is no address of a Ray cluster", fix="add --ray address=HOST:PORT")
    return given["address"], float(given["cpus"]), float(given["gpus"])
