"""A coordinator of light runs on Ray, to be started within its network: `ray_driver.py STORE ADDRESS RUNS STEPS`."""

from __future__ import annotations

import sys
from pathlib import Path

from light_run import Lines, command, units

from segrank.store import Store
from segrank.study.coordinator import Care, Coordinator
from segrank.study.ray import RayExecutor

if __name__ == "__main__":
    store, address, runs, steps = sys.argv[1:]
    study, care = units(int(runs), int(steps)), Care(pause_s=0.0)
    Coordinator(study, Store(Path(store)), RayExecutor(address), command, Lines(), care).run(lambda: False)
