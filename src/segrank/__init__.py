"""segrank ranks vision foundation models for semantic segmentation.

    record = segrank.run(segrank.RunSpec(encoder="timm:...", dataset="camvid.yaml"))
    print(record.miou)

torch is imported when a name that needs it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from segrank.errors import (
    ClaimError,
    DataError,
    EncoderError,
    SegrankError,
    SpecError,
    StoreError,
    TrainingError,
    WeightsError,
)
from segrank.record import Evaluation, Record
from segrank.spec import RunSpec, read_spec
from segrank.store import Store

if TYPE_CHECKING:
    from segrank.rescore import evaluate_run, predict_images
    from segrank.runner import run
    from segrank.study.run_study import run_study

_LATER = {
    "run": "runner",
    "evaluate_run": "rescore",
    "predict_images": "rescore",
    "run_study": "study.run_study",
}
"""Where what is imported when it is first used comes from; all but the last bring torch."""

__all__ = [
    "ClaimError",
    "DataError",
    "EncoderError",
    "Evaluation",
    "Record",
    "RunSpec",
    "SegrankError",
    "SpecError",
    "Store",
    "StoreError",
    "TrainingError",
    "WeightsError",
    "evaluate_run",
    "predict_images",
    "read_spec",
    "run",
    "run_study",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"segrank.{_LATER[name]}"), name)
    return value
