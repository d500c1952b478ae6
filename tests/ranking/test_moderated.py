import numpy as np
import pytest
from numpy.typing import NDArray

from segrank.ranking.moderated import moderated, steadied


def drawn(prior_df: float, df: int, number: int) -> NDArray[np.float64]:
    """Sample variances whose true ones are scaled inverse chi-square with scale 4."""
    random = np.random.default_rng(0)
    true = 4 * prior_df / random.chisquare(prior_df, number)
    return np.asarray(true * random.chisquare(df, number) / df)


@pytest.mark.parametrize("prior_df", [4.0, 12.0])
def test_finds_the_spread_that_variances_were_drawn_with(prior_df: float) -> None:
    variance = drawn(prior_df, 3, 20_000)
    found, df = moderated(variance, np.full(20_000, 3.0))
    assert df[0] == pytest.approx(prior_df + 3, rel=0.1)
    wanted = (prior_df * 4 + 3 * variance) / (prior_df + 3)
    np.testing.assert_allclose(found, wanted, rtol=0.2)


def test_variances_as_alike_as_chance_makes_them_are_pooled() -> None:
    variance, df = np.array([1.0, 2.0, 1.5, 1.2]), np.array([2.0, 4.0, 2.0, 2.0])
    found, found_df = moderated(variance, df)
    assert found == pytest.approx([1.54] * 4)
    assert found_df.tolist() == [10.0] * 4


def test_one_of_a_single_value_gets_the_common_variance() -> None:
    found, df = moderated(np.array([0.0, 3.0, 5.0]), np.array([0.0, 2.0, 2.0]))
    assert found.tolist() == [4.0] * 3
    assert df.tolist() == [4.0] * 3


def test_an_unsteady_one_stays_unsteady() -> None:
    variance = np.array([1.0, 1.1, 0.9, 1.2, 0.8, 400.0])
    found, df = moderated(variance, np.full(6, 9.0))
    assert found[5] > 200
    assert found[0] < 20
    assert (df < 54).all()


def test_no_variance_at_all() -> None:
    assert (moderated(np.zeros(4), np.full(4, 2.0))[0] == 0).all()
    assert np.isfinite(moderated(np.array([0.0, 0.0, 1.0, 1.0]), np.full(4, 2.0))[0]).all()


def test_a_steadied_variance_is_its_own_or_the_pooled_one() -> None:
    found, df, likely = steadied(np.array([1.0, 2.0, 3.0, 0.0]), np.array([2.0, 2.0, 2.0, 0.0]))
    assert found.tolist() == [2.0, 2.0, 3.0, 2.0]
    assert df.tolist() == [6.0, 6.0, 6.0, 4.0]
    assert likely.tolist() == pytest.approx([5 / 3, 2, 7 / 3, 2])


def test_one_that_is_far_noisier_stands_alone_and_does_not_spoil_the_others() -> None:
    found, df, _ = steadied(np.array([1.0, 1.1, 0.9, 1.2, 0.8, 400.0]), np.full(6, 3.0))
    assert found.tolist() == pytest.approx([1, 1.1, 1, 1.2, 1, 400])
    assert df.tolist() == [7.0] * 5 + [3.0]
    assert np.isfinite(steadied(np.array([0.0, 0.0, 0.0, 1.0]), np.full(4, 1.0))[0]).all()
    assert steadied(np.zeros(3), np.ones(3))[0].tolist() == [0.0] * 3
