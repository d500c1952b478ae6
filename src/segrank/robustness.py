"""What is left of a score on spoilt images, from the evaluations of one run. No torch here.

Mean performance under corruption and relative performance under corruption are those of Michaelis et al. (arXiv
1907.07484), with mIoU as the performance.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from segrank.record import Evaluation


class Robustness(NamedTuple):
    """Evaluations that differ in their corruption only."""

    clean: Evaluation | None
    """The same split as it is; none if it was not scored."""
    cells: dict[tuple[str, int], Evaluation]
    """By kind and severity; there is at least one."""

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(kind for kind, _ in self.cells))

    @property
    def severities(self) -> tuple[int, ...]:
        return tuple(sorted({severity for _, severity in self.cells}))

    @property
    def missing(self) -> tuple[tuple[str, int], ...]:
        """Kinds at severities at which others were scored."""
        return tuple((k, s) for k in self.kinds for s in self.severities if (k, s) not in self.cells)

    def kind_mean(self, kind: str) -> float | None:
        """mIoU averaged over severities; none while one of them is missing."""
        if any(kind == other for other, _ in self.missing):
            return None
        return sum(self.cells[kind, severity].scores.miou for severity in self.severities) / len(self.severities)

    @property
    def mean(self) -> float | None:
        """mIoU averaged over kinds and severities (mPC); none while a cell is missing."""
        if self.missing:
            return None
        return sum(evaluation.scores.miou for evaluation in self.cells.values()) / len(self.cells)

    @property
    def relative_drop(self) -> float | None:
        """The part of the clean mIoU that is lost: 1 - rPC. None without it, or while a cell is missing."""
        if self.mean is None or self.clean is None or self.clean.scores.miou == 0:
            return None
        return 1 - self.mean / self.clean.scores.miou


def robustness(evaluations: Iterable[Evaluation]) -> list[Robustness]:
    """Of each split that was scored with corruptions, in each precision and at each step."""
    clean: dict[tuple[object, ...], Evaluation] = {}
    cells: dict[tuple[object, ...], dict[tuple[str, int], Evaluation]] = {}
    for e in evaluations:
        way = (e.run, e.dataset_digest, e.split, e.precision, e.step, e.final)
        if e.corruption:
            cells.setdefault(way, {})[e.corruption, e.severity] = e
        else:
            clean.setdefault(way, e)
    return [Robustness(clean.get(way), dict(sorted(found.items()))) for way, found in cells.items()]
