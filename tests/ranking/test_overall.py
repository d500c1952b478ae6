"""One order from several datasets."""

from __future__ import annotations

import numpy as np
import pytest

from segrank.ranking.cell import Cell
from segrank.ranking.difference import difference
from segrank.ranking.intervals import estimates, score
from segrank.ranking.overall import Part, overall

ENCODERS = ("a", "b", "c")


def cell(scores: list[list[float]], runs: str = "", *, higher: bool = True) -> Cell:
    """Encoders with some seeds each; `runs` makes the names of runs differ."""
    return Cell(
        encoders=ENCODERS,
        seeds=tuple(tuple(range(len(row))) for row in scores),
        runs=tuple(
            tuple(f"{runs}{name}{seed}" for seed in range(len(row))) for name, row in zip(ENCODERS, scores, strict=True)
        ),
        scores=tuple(np.array(row) for row in scores),
        higher_is_better=higher,
    )


def part(of: Cell, weight: float = 0.5) -> Part:
    return Part(of, estimates(of), weight)


def test_scores_are_means_of_standardised_scores_by_hand() -> None:
    # mean 2, standard deviation 1; mean 20, standard deviation 10
    together = overall([part(cell([[1.0], [2.0], [3.0]])), part(cell([[30.0], [20.0], [10.0]], "x"))])
    np.testing.assert_allclose(together.value, 0, atol=1e-12)
    weighted = overall([part(cell([[1.0], [2.0], [3.0]]), 0.75), part(cell([[30.0], [20.0], [10.0]], "x"), 0.25)])
    np.testing.assert_allclose(weighted.value, [-0.5, 0, 0.5], atol=1e-12)


def test_where_less_is_better_the_least_is_first() -> None:
    together = overall(
        [part(cell([[1.0], [2.0], [3.0]], higher=False)), part(cell([[5.0], [6.0], [7.0]], "x", higher=False))]
    )
    np.testing.assert_allclose(together.value, [1, 0, -1])
    assert together.higher_is_better


def test_a_dataset_on_which_all_are_equal_decides_nothing() -> None:
    seeds = [[1.0, 1.2], [2.0, 2.2], [3.0, 3.2]]
    equal = part(cell([[5.0, 5.0]] * 3, "x"))
    assert equal.unit == 0
    together = overall([part(cell(seeds)), equal])
    np.testing.assert_allclose(together.value, [-0.5, 0, 0.5])
    assert together.covers == ("seeds",)
    assert np.isfinite(score(together, 0).interval.low)  # type: ignore[union-attr]


def test_one_seed_somewhere_leaves_seeds_uncovered() -> None:
    together = overall([part(cell([[1.0, 1.2], [2.0, 2.1], [3.0, 3.3]])), part(cell([[1.0], [2.0], [3.0]], "x"))])
    assert together.covers == ()
    assert "one seed" in together.note


def test_the_error_of_independent_runs_adds_up_and_that_of_the_same_runs_is_of_their_sum() -> None:
    random = np.random.default_rng(0)
    first = np.array([0.3, 0.5, 0.7])[:, None] + 0.01 * random.standard_normal((3, 6))
    second = 0.6 - first  # what a seed gains on one, it loses on the other
    alone = [part(cell(first.tolist(), "x")), part(cell(second.tolist(), "y"))]
    shared = [part(cell(first.tolist())), part(cell(second.tolist()))]
    independent, same = overall(alone), overall(shared)
    np.testing.assert_allclose(independent.value, same.value)
    assert independent.seed_noise is not None
    expected = sum(one.factor**2 * one.of.seed_noise.variance for one in alone if one.of.seed_noise is not None)
    np.testing.assert_allclose(independent.seed_noise.variance, expected)
    # their sum is the same whatever the seed: nothing is left
    assert same.seed_noise is None or np.allclose(same.seed_noise.variance, 0, atol=1e-20)
    partly = [part(cell(first.tolist())), part(cell(second[:, :3].tolist()))]
    worst = overall(partly).seed_noise
    assert worst is not None
    assert (worst.variance / 3 > overall(alone).seed_noise.variance / 6).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("seeds", [3, 8])
def test_intervals_of_differences_cover(seeds: int) -> None:
    """Two datasets whose true standardised differences are known; of 200 intervals about 190 hold them."""
    random = np.random.default_rng(seeds)
    true = np.array([[0.3, 0.5, 0.7], [40.0, 50.0, 45.0]])
    noise = np.array([0.01, 1.0])
    held = 0
    for _ in range(200):
        scores = true[:, :, None] + noise[:, None, None] * random.standard_normal((2, 3, seeds))
        parts = [part(cell(scores[0].tolist(), "x")), part(cell(scores[1].tolist(), "y"))]
        interval = difference(overall(parts), 1, 0).interval
        assert interval is not None
        # the units are held fixed at what was seen
        target = sum(one.factor * (values[1] - values[0]) for one, values in zip(parts, true, strict=True))
        held += interval.low <= target <= interval.high
    assert 180 <= held <= 199
