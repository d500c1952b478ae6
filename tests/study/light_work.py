"""A command on a run folder that is all that an engine may ask of one, without torch: `light_work.py RUN STEPS`.

It can be killed at any moment and goes on from its last checkpoint, saves one when asked to stop, and exits with 0 when
done, 130 when stopped. RUN/events tells what happened to it, a line each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

CHECKPOINT = "checkpoint"
STEP_S = 0.1
CHECKPOINT_EVERY = 5
"""Steps."""


def main(run: Path, steps: int) -> int:
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, lambda number, _: asked.append(number))
    checkpoint = run / CHECKPOINT
    step = int(checkpoint.read_text()) if checkpoint.exists() else 0
    tell(run, event="begin", step=step, node=os.environ.get("SLURMD_NODENAME"), pid=os.getpid())
    while step < steps:
        time.sleep(STEP_S)
        step += 1
        if asked or step % CHECKPOINT_EVERY == 0:
            temporary = run / f".{CHECKPOINT}.{os.getpid()}"
            temporary.write_text(str(step))
            temporary.replace(checkpoint)
        if asked:
            tell(run, event="stop", step=step, signals=[signal.Signals(number).name for number in asked])
            return 130
    tell(run, event="done", step=step)
    return 0


def tell(run: Path, **facts: Any) -> None:
    with (run / "events").open("a", encoding="utf-8") as events:
        events.write(json.dumps(facts) + "\n")


def events(run: Path, event: str = "") -> list[dict[str, Any]]:
    """What happened so far; only events of one kind, if it is named."""
    path = run / "events"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [told for line in lines if (told := json.loads(line))["event"] == event or not event]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
