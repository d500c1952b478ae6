"""How often 95 % intervals hold, and false orders are claimed, in cells of runs whose true scores are known.

    python benchmarks/interval_coverage.py --minutes 2
    python benchmarks/interval_coverage.py --minutes 240 --repetitions 200

Works through a grid fixed beforehand, in rounds of 10 repetitions of every case, appends each to a file, goes on where
it stopped, and prints the table of what is there. 200 repetitions of the whole grid take about 8 hours on one core.
Cases are simulated by `simulated.py`; the resamples are fewer (600) than in use, which costs a little coverage.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from simulated import FloatArray, Known, cell, scenes, world

from segrank.ranking.agreement import agreement
from segrank.ranking.cell import ImageCounts
from segrank.ranking.difference import difference_errors
from segrank.ranking.intervals import LEVEL, Estimates, estimates, score
from segrank.ranking.ranks import rank
from segrank.ranking.resample import ImageDraws, image_draws

ENCODERS = (4, 10, 20)
SEEDS = (1, 2, 3, 5, 10)
IMAGES = (100, 500, 2000)
GAPS = (0.0, 0.003, 0.02)
"""Standard deviation of the encoders' true mIoU; a seed's is about 0.005."""
BATCH = 10
RESAMPLES = 600
DRAWS = 500
EQUAL = 1e-5
"""mIoUs closer than this are the same: the simulation knows them to about 1e-6."""


@dataclass(frozen=True)
class Case:
    encoders: int
    seeds: int
    images: int
    gap: float

    def __str__(self) -> str:
        return f"{self.encoders:2} encoders {self.seeds:2} seeds {self.images:4} images gap {100 * self.gap:.1f}"


GRID = tuple(Case(*values) for values in itertools.product(ENCODERS, SEEDS, IMAGES, GAPS))


def repetition(case: Case, random: np.random.Generator) -> dict[str, float]:
    """Share of what holds, by what it is."""
    latent = random.normal(size=(2, case.encoders))
    latent[1] = 0.7 * latent[0] + np.sqrt(1 - 0.7**2) * latent[1]
    x, y = (_setting(case, 0.5 + case.gap * values, random) for values in latent)
    draws = image_draws(_counts(x), resamples=RESAMPLES)
    of, other = estimates(x.cell, draws), estimates(y.cell, image_draws(_counts(y), resamples=RESAMPLES, seed=1))
    # what the intervals are about: with one seed the runs, else the encoders
    true = x.miou if case.seeds > 1 else x.miou_of_runs
    intervals = [score(of, encoder).interval for encoder in range(case.encoders)]
    held = {
        "score": np.mean([i.low <= t <= i.high for i, t in zip(intervals, true, strict=True) if i is not None]),
        "difference": _differences(of, true),
        "plain bootstrap": _plain_bootstrap(draws, x.miou, random),
        **_ranks(of, true),
        **_agreement(of, other, true, y.miou if case.seeds > 1 else y.miou_of_runs),
    }
    if case.seeds == 1:  # what they leave out
        held["difference, other seeds"] = _differences(of, x.miou)
        held["all ranks, other seeds"] = _ranks(of, x.miou)["all ranks"]
    return {name: float(value) for name, value in held.items()}


def _setting(case: Case, true: FloatArray, random: np.random.Generator) -> Known:
    of = world(true, random)
    return cell(of, scenes(of, case.images, random), case.seeds, random)


def _counts(of: Known) -> ImageCounts:
    assert of.cell.images is not None
    return of.cell.images


def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(count, 1)


def _differences(of: Estimates, true: FloatArray) -> float:
    a, b = _pairs(len(true))
    error, df = difference_errors(of, a, b)
    off = np.abs(of.value[a] - of.value[b] - (true[a] - true[b]))
    return float((off <= error * stats.t.ppf((1 + LEVEL) / 2, df)).mean())


def _plain_bootstrap(draws: ImageDraws, true: FloatArray, random: np.random.Generator) -> float:
    """Of differences: percentiles over images and seeds drawn with replacement, as one would do it first."""
    drawn = []
    for miou in draws.miou:
        chosen = random.integers(0, miou.shape[1], miou.shape)
        drawn.append(np.take_along_axis(miou, chosen, axis=1).mean(axis=1))
    a, b = _pairs(len(true))
    low, high = np.quantile(np.stack(drawn)[a] - np.stack(drawn)[b], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return float(((low <= true[a] - true[b]) & (true[a] - true[b] <= high)).mean())


def _ranks(of: Estimates, true: FloatArray) -> dict[str, float]:
    found = rank(of, draws=DRAWS)
    assert found.interval is not None
    assert found.interval_all is not None
    assert found.best is not None
    above = (true > true[:, None] + EQUAL).sum(axis=1)
    below = (true < true[:, None] - EQUAL).sum(axis=1)
    first, last = 1 + above, len(true) - below
    one, every = np.array(found.interval), np.array(found.interval_all)
    held_one = (one[:, 0] <= first) & (one[:, 1] >= last)
    held_every = (every[:, 0] <= first) & (every[:, 1] >= last)
    likely = int(np.argmax(found.best))
    return {
        "rank": float(held_one.mean()),
        "all ranks": float(held_every.all()),
        # that several are best is a reason to be sure of none
        "sure of a wrong best": float(max(found.best) >= LEVEL and (above[likely] > 0 or (above == 0).sum() > 1)),
    }


def _agreement(x: Estimates, y: Estimates, true_x: FloatArray, true_y: FloatArray) -> dict[str, float]:
    """Of equal encoders tau is 0."""
    a, b = _pairs(len(true_x))
    same = [np.sign(np.where(np.abs(t[a] - t[b]) > EQUAL, t[a] - t[b], 0)) for t in (true_x, true_y)]
    tau = float((same[0] * same[1]).mean())
    found = agreement(x, y, draws=DRAWS)
    assert found.interval is not None
    return {
        "tau": float(found.interval.low - 1e-9 <= tau <= found.interval.high + 1e-9),
        "width of tau": found.interval.high - found.interval.low,
        "false flips": float(any(_false(flip.a, flip.b, same, x) for flip in found.flips if flip.verdict == "real")),
    }


def _false(a: str, b: str, same: list[FloatArray], of: Estimates) -> bool:
    first, second = sorted((of.encoders.index(a), of.encoders.index(b)))
    pairs = list(zip(*_pairs(len(of.encoders)), strict=True))
    at = pairs.index((first, second))
    return bool(same[0][at] * same[1][at] >= 0)


def run(results: Path, repetitions: int, minutes: float) -> None:
    done = {(Case(**row["case"]), row["batch"]) for row in _read(results)}
    stop = time.monotonic() + 60 * minutes
    for batch, case in itertools.product(range(repetitions // BATCH), GRID):
        if (case, batch) in done:
            continue
        if time.monotonic() > stop:
            return
        random = np.random.default_rng([batch, GRID.index(case)])
        started = time.monotonic()
        found: dict[str, list[float]] = defaultdict(list)
        for _ in range(BATCH):
            for name, value in repetition(case, random).items():
                found[name].append(value)
        row = {"case": asdict(case), "batch": batch, "held": found, "seconds": time.monotonic() - started}
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Markdown, in percent: the means over the cases of a number of seeds and images; then over those of equal
    encoders, where every order that is claimed is false."""
    names = (
        "score", "difference", "plain bootstrap", "rank", "all ranks", "sure of a wrong best", "tau", "false flips",
        "difference, other seeds", "all ranks, other seeds",
    )  # fmt: skip
    lines = ["| seeds | images | repetitions | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    groups: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        case = Case(**row["case"])
        keys = [(f"{case.seeds:2}", f"{case.images:4}")] + [(f"{case.seeds:2}", "equal")] * (case.gap == 0)
        for key, (name, values) in itertools.product(keys, row["held"].items()):
            groups[key][name] += values
    for key, held in sorted(groups.items(), key=lambda item: (item[0][1] == "equal", item[0])):
        shown = [f"{100 * np.mean(held[name]):.1f}" if name in held else "" for name in names]
        lines.append(f"| {key[0]} | {key[1]} | {len(held['score'])} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("coverage.jsonl"))
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=2)
    given = parser.parse_args()
    run(given.results, given.repetitions, given.minutes)
    rows = _read(given.results)
    print(table(rows))
    print(f"{sum(row['seconds'] for row in rows) / 3600:.1f} hours of one core")


if __name__ == "__main__":
    main()
