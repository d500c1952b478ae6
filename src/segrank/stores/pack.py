"""A pack: finished runs in one zip file, for others to rank against. No weights, no step logs. No torch.

    segrank-pack.json                                 {"pack": 1, "segrank": "0.1.0", "runs": 12}
    runs/<key>/record.json
    runs/<key>/evaluations/<evaluation key>/          scores.json  counts.csv  predictions.npz (if asked for)

Counts are text here, so that what unpacks to so many bytes takes about so many in memory, whoever made it.
"""

from __future__ import annotations

import re

from segrank.counts import SCHEMA

PACK = 1
"""Raised when a pack is laid out in another way."""
MARK = "segrank-pack.json"
RUNS = "runs"
_KEY = "[0-9a-f]{16}"
NAME = re.compile(rf"{RUNS}/({_KEY})/(?:record\.json|evaluations/({_KEY})/(scores\.json|counts\.csv|predictions\.npz))")
"""Of every other file, with the keys of its run and its evaluation."""
MOST_BYTES = {"record.json": 2**22, "scores.json": 2**22, "counts.csv": 2**28, "predictions.npz": 2**22}
"""Of one file, unpacked. Counts of 2,000 images with 150 classes take a few MB, 32 small predictions 150 kB."""
MAX_RUNS, MAX_FILES = 100_000, 3_000_000
HEADER = ",".join(SCHEMA.names())
"""First line of counts."""
