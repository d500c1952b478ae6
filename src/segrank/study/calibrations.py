"""Calibrations: a few steps measured on the device at hand, kept in the cache. No torch here.

They are kept by what was measured, where, and with which versions; others are as if they were not there.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from segrank.data.cache_folder import cache_folder
from segrank.errors import SegrankError
from segrank.files import canonical_json, digest, write_whole
from segrank.progress import Reporter
from segrank.spec import RunSpec
from segrank.study.flops import work_of
from segrank.study.images import Datasets
from segrank.study.observations import Observation, traits_of

_MOST_S = 900.0
"""A measurement that takes longer is given up."""
_FOLDER = "calibrations"


def known_calibrations() -> list[Observation]:
    """Those made with the versions that are installed."""
    found = []
    with contextlib.suppress(RuntimeError, OSError):  # there is no home
        for path in sorted(cache_folder(_FOLDER).glob("*.json")):
            with contextlib.suppress(OSError, ValueError):  # damaged, or of another segrank
                content = json.loads(path.read_bytes())
                if content["versions"] == _versions():
                    found.append(Observation.model_validate_json(json.dumps(content["observation"])))
    return found


def calibrate(
    specs: Sequence[RunSpec],
    datasets: Datasets,
    *,
    root: str | os.PathLike[str] | None,
    device: str,
    seconds: float,
    reporter: Reporter,
) -> list[Observation]:
    """Measure each, one after another, and keep what was measured.

    Args:
        specs: with their precision resolved.
        datasets: of the study.
        root: the folder with the archives of named datasets.
        device: `cpu` or `cuda`.
        seconds: for the training and for the evaluation of each; starting and a first step come on top.
        reporter: is told of each, and of those that could not be measured.
    """
    found = []
    for done, spec in enumerate(specs):
        reporter.advance("calibrate", done, len(specs), f"{spec.encoder}, {spec.decoder}")
        try:
            observation = _measured(spec, datasets.scored(spec).classes, root, device, seconds)
        except SegrankError as error:
            reporter.say(f"not calibrated: {error}")
            continue
        found.append(observation)
        try:
            folder = cache_folder(_FOLDER)
            folder.mkdir(parents=True, exist_ok=True)
            what: dict[str, Any] = {"versions": _versions(), "observation": observation.model_dump(mode="json")}
            name = digest(canonical_json([_versions(), traits_of(spec), spec.dataset, spec.eval_dataset]))[:16]
            write_whole(folder / f"{name}-{digest(observation.place)[:8]}.json", json.dumps(what, indent=1) + "\n")
        except (OSError, RuntimeError) as error:
            reporter.say(f"the calibration is not kept: {error}")
    reporter.advance("calibrate", len(specs), len(specs))
    return found


def representatives(specs: Sequence[RunSpec], datasets: Datasets) -> list[RunSpec]:
    """Which to measure: of runs that differ only in their encoder, the one with the middle number of FLOPs.

    Encoders whose FLOPs no card tells are measured each, once, and so are datasets.
    """
    kinds: dict[object, dict[str, RunSpec]] = {}
    for spec in specs:
        kind = (traits_of(spec)._replace(encoder=""), spec.dataset, spec.eval_dataset)
        kinds.setdefault(kind, {}).setdefault(spec.encoder, spec)
    chosen: list[RunSpec] = []
    unknown: dict[str, RunSpec] = {}
    for encoders in kinds.values():
        counted = []
        for spec in encoders.values():
            work = work_of(spec, datasets.scored(spec).classes)
            if work is None:
                unknown.setdefault(spec.encoder, spec)
            else:
                counted.append((work.train_flops, spec))
        if counted:
            chosen.append(sorted(counted, key=lambda pair: pair[0])[len(counted) // 2][1])
    return [*chosen, *unknown.values()]


def _measured(
    spec: RunSpec, classes: int, root: str | os.PathLike[str] | None, device: str, seconds: float
) -> Observation:
    request = {
        "spec": spec.model_dump(mode="json"), "root": None if root is None else str(Path(root).absolute()),
        "device": device, "seconds": seconds, "classes": classes, "began": time.time(),
    }  # fmt: skip
    what = f"{spec.encoder}, {spec.decoder}, {spec.crop[0]}x{spec.crop[1]}/{spec.patch_size}"
    try:
        process = subprocess.run(
            [sys.executable, "-m", "segrank.measure"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=_MOST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SegrankError(f"{what} takes over {_MOST_S:.0f} s for a few steps") from None
    try:
        return Observation.model_validate_json(process.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = " ".join(process.stderr.strip().splitlines()[-2:])[-400:]
        raise SegrankError(f"{what}: {last or f'exit status {process.returncode}'}") from None


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("segrank", "torch")}
