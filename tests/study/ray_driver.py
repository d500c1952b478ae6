"""Light runs on Ray, brought home from within its network: `ray_driver.py ADDRESS STORE STEPS KEY...`.

Prints how often each was started, and what Ray said of those that did not come to their end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from light_study import LightStudy

from segrank.study.ray import RayExecutor

if __name__ == "__main__":
    address, store, steps, *keys = sys.argv[1:]
    study = LightStudy(Path(store), RayExecutor(address))
    study.bring_home(int(steps), *keys)
    study.executor.close()
    print(json.dumps({"starts": study.starts, "ends": study.ends}))
