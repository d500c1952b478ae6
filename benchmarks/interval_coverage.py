"""How often 95 % intervals hold, and false orders are claimed, in cells of runs whose true scores are known.

    python benchmarks/interval_coverage.py --minutes 2 --results coverage.jsonl
    python benchmarks/interval_coverage.py --minutes 240 --repetitions 400

Works through a grid fixed beforehand, in rounds of `BATCH` repetitions of every case, appends the means of each round
of a case to a file (by default the one that docs/method.md shows), goes on where it stopped, and prints the tables of
what is there. Cases are simulated by `simulated.py`. A round has one world, which its repetitions share: their images,
seeds and runs are new each time. So standard errors are those of means over rounds. tau, which is dear, is looked at in
the first `WITH_TAU` repetitions of a round. Resamples are fewer (600) than in use, which costs a little coverage.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from simulated import FloatArray, Known, World, cell, scenes, world

from segrank.ranking.agreement import agreement
from segrank.ranking.cell import ImageCounts
from segrank.ranking.difference import difference_errors
from segrank.ranking.intervals import Estimates, estimates, score
from segrank.ranking.ranks import rank
from segrank.ranking.resample import ImageDraws, image_draws
from segrank.ranking.standard_errors import LEVEL

RESULTS = Path(__file__).parent / "results" / "coverage.jsonl"
BATCH = 10
WITH_TAU = 3
RESAMPLES = 600
DRAWS = 400
EQUAL = 2e-5
"""mIoUs closer than this are the same: the simulation knows them to less than 1e-5."""


@dataclass(frozen=True)
class Case:
    encoders: int
    seeds: int
    images: int
    gap: float
    """Standard deviation of the encoders' true mIoU; a seed's is about 0.005."""
    noisy: float = 1.0
    """Standard deviation of the first encoder's seeds, beside that of the others."""


def _cases(*values: Iterable[Any]) -> list[Case]:
    return [Case(*each) for each in itertools.product(*values)]


GRID = (
    *_cases((4, 10, 20), (1, 2, 3, 5, 10), (100, 500, 2000), (0.0, 0.003, 0.02)),
    # as few encoders and seeds as there can be
    *_cases((2,), (2, 3, 5), (100, 500, 2000), (0.0, 0.003)),
    # one encoder whose seeds are far apart
    *_cases((4, 10, 20), (2, 3, 5, 10), (500,), (0.0, 0.003), (3.0, 5.0)),
    # fewer images than encoders
    *_cases((20,), (1, 3), (10,), (0.0, 0.003)),
)


def repetition(case: Case, worlds: tuple[World, World], random: np.random.Generator, tau: bool) -> dict[str, float]:
    """Share of what holds, by what it is."""
    x, y = (cell(of, scenes(of, case.images, random), case.seeds, random) for of in worlds)
    draws = image_draws(_counts(x), resamples=RESAMPLES)
    of = estimates(x.cell, draws)
    # what the intervals are about: with one seed the runs, else the encoders
    true = x.miou if case.seeds > 1 else x.miou_of_runs
    intervals = [score(of, encoder).interval for encoder in range(case.encoders)]
    scores = [i.low <= t <= i.high for i, t in zip(intervals, true, strict=True) if i is not None]
    differences = _differences(of, true)
    held = {
        "score": np.mean(scores),
        "width of score": np.mean([i.high - i.low for i in intervals if i is not None]),
        "difference": differences.mean(),
        "plain bootstrap": _plain_bootstrap(draws, x.miou, random),
        **_ranks(of, true),
    }
    if case.noisy > 1:
        first = _pairs(case.encoders)[0] == 0
        held |= {"score, noisy": scores[0], "difference, noisy": differences[first].mean()}
    if case.seeds == 1:  # what they leave out
        held["difference, other seeds"] = _differences(of, x.miou).mean()
        held["all ranks, other seeds"] = _ranks(of, x.miou)["all ranks"]
    if tau and case.encoders > 2:
        other = estimates(y.cell, image_draws(_counts(y), resamples=RESAMPLES, seed=1))
        held |= _agreement(of, other, true, y.miou if case.seeds > 1 else y.miou_of_runs)
    return {name: float(value) for name, value in held.items()}


def _worlds(case: Case, random: np.random.Generator) -> tuple[World, World]:
    latent = random.normal(size=(2, case.encoders))
    latent[1] = 0.7 * latent[0] + np.sqrt(1 - 0.7**2) * latent[1]
    x, y = (world(0.5 + case.gap * values, random, noisy=case.noisy) for values in latent)
    return x, y


def _counts(of: Known) -> ImageCounts:
    assert of.cell.images is not None
    return of.cell.images


def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(count, 1)


def _differences(of: Estimates, true: FloatArray) -> NDArray[np.bool_]:
    """(pairs,): whether the interval holds."""
    a, b = _pairs(len(true))
    off = np.abs(of.value[a] - of.value[b] - (true[a] - true[b]))
    return np.asarray(off <= difference_errors(of, a, b).half_width(LEVEL))


def _plain_bootstrap(draws: ImageDraws, true: FloatArray, random: np.random.Generator) -> float:
    """Of differences: percentiles over images and seeds drawn with replacement, as one would do it first."""
    drawn = []
    for miou in draws.miou:
        chosen = random.integers(0, miou.shape[1], miou.shape)
        drawn.append(np.take_along_axis(miou, chosen, axis=1).mean(axis=1))
    a, b = _pairs(len(true))
    apart = np.sort(np.stack(drawn)[a] - np.stack(drawn)[b], axis=1)
    low, high = (apart[:, round(end * (apart.shape[1] - 1))] for end in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
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
    wrong = any(_false(flip.a, flip.b, same, x) for flip in found.flips if flip.verdict == "real")
    held = {
        "tau": float(found.interval.low - 1e-9 <= tau <= found.interval.high + 1e-9),
        "width of tau": found.interval.high - found.interval.low,
        "false flips": float(wrong),
    }
    if not same[0].any():  # all equal: no order is another than any
        held["false reordering"] = float((found.same_order or 0.0) <= 1 - LEVEL)
    return held


def _false(a: str, b: str, same: list[FloatArray], of: Estimates) -> bool:
    first, second = sorted((of.encoders.index(a), of.encoders.index(b)))
    pairs = list(zip(*_pairs(len(of.encoders)), strict=True))
    at = pairs.index((first, second))
    return bool(same[0][at] * same[1][at] >= 0)


def run(results: Path, repetitions: int, minutes: float) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    done = {(Case(**row["case"]), row["batch"]) for row in _read(results)}
    stop = time.monotonic() + 60 * minutes
    for batch, case in itertools.product(range(repetitions // BATCH), GRID):
        if (case, batch) in done:
            continue
        if time.monotonic() > stop:
            return
        random = np.random.default_rng([batch, GRID.index(case)])
        started = time.process_time()
        worlds = _worlds(case, random)
        found: dict[str, list[float]] = defaultdict(list)
        for number in range(BATCH):
            for name, value in repetition(case, worlds, random, number < WITH_TAU).items():
                found[name].append(value)
        held = {name: round(float(np.mean(values)), 5) for name, values in found.items()}
        row = {"case": asdict(case), "batch": batch, "held": held, "seconds": round(time.process_time() - started, 2)}
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


Key = Callable[[Case], tuple[str, ...] | None]
"""The row of a table that a case counts in, if any."""


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown, in percent with standard errors: means over the cases that have the same number of seeds and images."""

    def regular(case: Case) -> bool:
        return case.encoders > 2 and case.noisy == 1 and case.images > 10

    covered = ("score", "difference", "plain bootstrap", "rank", "all ranks", "tau")
    false = ("all ranks", "sure of a wrong best", "false flips", "false reordering")

    def key(*fields: str, where: Callable[[Case], bool]) -> Key:
        return lambda case: tuple(str(getattr(case, name)) for name in fields) if where(case) else None

    parts = (
        ("Coverage", ("seeds", "images"), covered, regular),
        ("By number of encoders", ("encoders",), covered, regular),
        ("Equal encoders: every order that is claimed is false", ("seeds",), false,
         lambda case: regular(case) and case.gap == 0),
        ("One seed: what intervals of these weights say of the encoders", ("images",),
         ("difference, other seeds", "all ranks, other seeds"), lambda case: regular(case) and case.seeds == 1),
        ("One encoder among others whose seeds are 3 or 5 times as far apart", ("noisy", "seeds"),
         ("score, noisy", "difference, noisy", "score", "difference", "rank", "all ranks", "sure of a wrong best",
          "tau", "false flips"), lambda case: case.noisy > 1),
        ("Two encoders", ("seeds",), covered[:-1], lambda case: case.encoders == 2),
        ("Twenty encoders, ten images", ("seeds",), (*covered, "sure of a wrong best"),
         lambda case: case.images == 10),
    )  # fmt: skip
    return "\n\n".join(
        f"{title}\n\n{table(rows, fields, names, key(*fields, where=where))}" for title, fields, names, where in parts
    )


def table(rows: list[dict[str, Any]], fields: tuple[str, ...], names: tuple[str, ...], key: Key) -> str:
    groups: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    repetitions: dict[tuple[str, ...], int] = defaultdict(int)
    for row in rows:
        at = key(Case(**row["case"]))
        if at is None:
            continue
        repetitions[at] += BATCH
        for name in names:
            if name in row["held"]:
                groups[at][name].append(row["held"][name])
    lines = [f"| {' | '.join(fields)} | cells | {' | '.join(names)} |", "|---" * (len(fields) + 1 + len(names)) + "|"]
    for at, held in sorted(groups.items(), key=lambda item: [float(value) for value in item[0]]):
        shown = [_shown(held[name]) for name in names]
        lines.append(f"| {' | '.join(at)} | {repetitions[at]} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _shown(means: list[float]) -> str:
    """Of rounds, their mean and its standard error, in percent."""
    if not means:
        return ""
    error = f" ± {100 * stats.sem(means):.1f}" if len(means) > 1 else ""
    return f"{100 * np.mean(means):.1f}{error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=2)
    given = parser.parse_args()
    run(given.results, given.repetitions, given.minutes)
    rows = _read(given.results)
    print(tables(rows))
    print(f"\n{len(rows)} rounds of {BATCH}, {sum(row['seconds'] for row in rows) / 3600:.1f} hours of one core")


if __name__ == "__main__":
    main()
