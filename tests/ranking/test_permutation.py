"""Permutation tests, beside scipy's and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segrank.ranking import permutation
from segrank.ranking.permutation import between_groups, of_ranks, sign_flips


def test_two_groups_as_scipy_counts_them() -> None:
    values = np.random.default_rng(3).standard_normal(9)
    groups = np.array([0, 1, 1, 0, 1, 1, 0, 1, 1])
    found = between_groups(values, groups)
    theirs = stats.permutation_test(
        (values[groups == 0], values[groups == 1]),
        lambda a, b, axis: np.abs(a.mean(axis) - b.mean(axis)),
        alternative="greater",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert (found.permutations, found.exact, found.smallest) == (84, True, 1 / 84)


def test_one_against_nine_has_ten_permutations_and_no_small_p() -> None:
    found = between_groups(np.array([100.0, *range(9)]), np.array([0] + [1] * 9))
    assert (found.p_value, found.smallest, found.permutations) == (0.1, 0.1, 10)


def test_groups_of_one_size_can_be_renamed() -> None:
    found = between_groups(np.array([0.0, 1, 10, 11]), np.array([0, 0, 1, 1]))
    assert (found.permutations, found.smallest, found.p_value) == (6, 2 / 6, 2 / 6)
    three = between_groups(np.array([0.0, 1, 10, 11, 30, 31]), np.array([0, 0, 1, 1, 2, 2]))
    assert (three.permutations, three.smallest) == (90, 6 / 90)
    assert three.p_value == pytest.approx(6 / 90)


def test_equal_values_give_no_evidence() -> None:
    assert between_groups(np.full(6, 0.1), np.array([0, 0, 0, 1, 1, 1])).p_value == 1
    assert sign_flips(np.zeros(5)).p_value == 1


def test_sign_flips_as_scipy_counts_them() -> None:
    values = np.array([0.3, 0.1, -0.05, 0.4, 0.2])
    theirs = stats.permutation_test(
        (values,),
        lambda x, axis: np.abs(x.mean(axis)),
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=True,
    )
    found = sign_flips(values)
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.smallest == 2 / 2**5


def test_ranks_as_scipy_counts_them() -> None:
    x, y = np.random.default_rng(1).standard_normal((2, 6))
    theirs = stats.permutation_test(
        (x,), lambda a: abs(stats.spearmanr(a, y).statistic), permutation_type="pairings", alternative="greater"
    )
    assert of_ranks(x, y).p_value == pytest.approx(theirs.pvalue)


def test_a_sample_of_the_permutations_comes_near_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values, groups = np.random.default_rng(5).standard_normal(12), np.array([0] * 6 + [1] * 6)
    values[:6] += 1
    exact = between_groups(values, groups)
    monkeypatch.setattr(permutation, "MOST_EXACT", 10)
    sampled = between_groups(values, groups, seed=1)
    assert (exact.exact, sampled.exact) == (True, False)
    # binomial: three standard deviations
    assert abs(sampled.p_value - exact.p_value) < 3 * np.sqrt(exact.p_value / permutation.SAMPLED) + 1e-4
    assert sampled == between_groups(values, groups, seed=1)
