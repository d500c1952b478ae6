import numpy as np
import pytest
from generated_cells import cell_of, counted_cell
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.agreement import agreement
from segrank.ranking.intervals import Estimates, estimates


def of(scores: NDArray[np.float64] | list[list[float]], *, higher_is_better: bool = True) -> Estimates:
    return estimates(cell_of(scores, higher_is_better=higher_is_better))


def test_tau_equals_scipys_and_a_count_by_hand() -> None:
    # pairs: ab, ac, bc, bd, cd agree; ad is tied in y
    found = agreement(of([[4.0], [3.0], [2.0], [1.0]]), of([[2.0], [1.5], [1.0], [2.0]]))
    x, y = [4.0, 3.0, 2.0, 1.0], [2.0, 1.5, 1.0, 2.0]
    assert found.tau == pytest.approx((3 - 2) / np.sqrt(6 * 5))
    assert found.tau == pytest.approx(stats.kendalltau(x, y).statistic)
    assert found.p_value == pytest.approx(stats.kendalltau(x, y).pvalue)
    assert found.weighted_tau == pytest.approx(stats.weightedtau(x, y).statistic)
    assert found.moves == (0, 1, 1, -3)
    assert [(flip.a, flip.b) for flip in found.flips] == [("b", "d"), ("c", "d")]
    assert all(flip.verdict == "unknown" and flip.p_value is None for flip in found.flips)
    assert found.interval is None
    assert "errors of x and y" in found.note


def test_encoders_are_matched_by_name_and_directions_minded() -> None:
    x = estimates(cell_of([[1.0], [2.0], [3.0]], names=["a", "b", "c"]))
    y = estimates(cell_of([[0.5], [0.1], [9.0], [0.4]], names=["c", "a", "other", "b"]))
    assert agreement(x, y).encoders == ("a", "b", "c")
    assert agreement(x, y).tau == 1
    errors = estimates(cell_of([[0.5], [0.1], [0.2]], names=["c", "a", "b"], higher_is_better=False))
    assert agreement(x, errors).tau == -1
    assert agreement(x, errors).moves == (-2, 0, 2)


@pytest.mark.parametrize("scores", [[[1.0]], [[1.0], [1.0], [1.0]]])
def test_there_is_no_tau_of_one_encoder_or_of_ties_alone(scores: list[list[float]]) -> None:
    found = agreement(of(scores), of([[float(number)] for number in range(len(scores))]))
    assert [found.tau, found.p_value, found.weighted_tau, found.interval_encoders] == [None] * 4
    assert found.flips == ()


def test_nothing_shared() -> None:
    found = agreement(estimates(cell_of([[1.0]], names=["a"])), estimates(cell_of([[1.0]], names=["b"])))
    assert (found.encoders, found.tau, found.moves) == ((), None, ())


def noisy(true: NDArray[np.float64], noise: float, seed: int, seeds: int = 4) -> Estimates:
    return of(np.random.default_rng(seed).normal(true[:, None], noise, (len(true), seeds)))


def test_an_order_that_is_plain_in_both_is_sure() -> None:
    true = np.linspace(0.3, 0.7, 8)
    found = agreement(noisy(true, 0.002, 0), noisy(true**2, 0.002, 1))
    assert found.tau == pytest.approx(1)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (1, 1)
    assert found.weighted_interval is not None
    assert found.weighted_interval.low == pytest.approx(1)
    assert found.ceiling_x is not None
    assert found.ceiling_x.expected == pytest.approx(1, abs=0.01)
    # of eight encoders: others might be ordered otherwise
    assert found.interval_encoders is not None
    assert 0.4 < found.interval_encoders.low < 0.9
    assert found.interval_encoders.high == 1


def test_one_real_flip_is_found_and_no_other() -> None:
    x = np.linspace(0.3, 0.7, 6)
    y = x.copy()
    y[[1, 2]] = y[[2, 1]]
    found = agreement(noisy(x, 0.004, 0), noisy(y, 0.004, 1))
    assert [(flip.a, flip.b, flip.verdict) for flip in found.flips] == [("c", "b", "real")]
    assert found.flips[0].probability == pytest.approx(1, abs=0.01)
    assert found.flips[0].difference_x > 0 > found.flips[0].difference_y
    assert found.same_order is not None
    assert found.same_order < 0.05
    assert found.interval is not None
    assert found.interval.low == found.interval.high == pytest.approx(13 / 15)


def test_of_noise_nothing_is_claimed() -> None:
    true = np.full(8, 0.5)
    found = agreement(noisy(true, 0.01, 0), noisy(true, 0.01, 1))
    assert found.interval is not None
    assert found.interval.low < -0.5
    assert found.interval.high > 0.5
    assert all(flip.verdict == "not settled" for flip in found.flips)
    assert found.ceiling_x is not None
    assert found.ceiling_x.expected < 0.5
    assert found.same_order is not None
    assert found.same_order > 0.05


def test_noise_lowers_what_is_seen_and_the_ceiling_says_so() -> None:
    true = np.random.default_rng(3).normal(0.5, 0.01, 12)
    seen, expected, held = [], [], []
    for seed in range(20):
        found = agreement(noisy(true, 0.02, seed), noisy(true, 0.02, seed + 100), draws=300)
        assert found.tau is not None
        assert found.ceiling_x is not None
        assert found.interval is not None
        seen.append(found.tau)
        expected.append(found.ceiling_x.expected)
        held.append(found.interval.high > 0.95)
    # x against its own repetition is what x against y is here
    assert np.mean(expected) == pytest.approx(np.mean(seen), abs=0.12)
    assert np.mean(seen) < 0.7
    assert np.mean(held) > 0.8


def test_directions_do_not_matter_to_intervals() -> None:
    true = np.linspace(0.48, 0.52, 6)
    x, y = noisy(true, 0.01, 0), noisy(true, 0.01, 1)
    turned = of(-np.random.default_rng(1).normal(true[:, None], 0.01, (6, 4)), higher_is_better=False)
    one, other = agreement(x, y), agreement(x, turned)
    assert one.tau == other.tau
    assert one.interval is not None
    assert other.interval is not None
    assert one.interval.low == pytest.approx(other.interval.low, abs=0.15)
    assert one.interval.high == pytest.approx(other.interval.high, abs=0.15)
    assert one.weighted_interval is not None
    assert other.weighted_interval is not None
    assert one.weighted_interval.low == pytest.approx(other.weighted_interval.low, abs=0.2)
    assert [flip.a for flip in one.flips] == [flip.a for flip in other.flips]


def test_of_runs_on_the_same_images() -> None:
    cell = counted_cell(encoders=5, seeds=2, images=60, classes=4)
    found = agreement(estimates(cell), estimates(cell), draws=200)
    assert found.tau == pytest.approx(1)
    assert found.interval is not None
    assert found.interval.high == 1


def test_the_interval_over_encoders_holds() -> None:
    random = np.random.default_rng(0)
    correlation, count, held = 0.8, 7, 0
    for _ in range(300):
        x, other = random.normal(size=(2, count))
        y = correlation * x + np.sqrt(1 - correlation**2) * other
        found = agreement(of(x[:, None]), of(y[:, None])).interval_encoders
        assert found is not None
        held += found.low <= 2 / np.pi * np.arcsin(correlation) <= found.high
    assert held / 300 > 0.92


def test_encoders_of_one_family_count_once_where_encoders_are_a_sample() -> None:
    scores = np.random.default_rng(5).random((8, 1))
    x, y = of(scores), of(scores + 0.1 * np.random.default_rng(6).random((8, 1)))
    families = {name: name if name < "e" else "one family" for name in x.encoders}
    found, apart = agreement(x, y, families=families), agreement(x, y)
    assert (found.tau, found.families, apart.families) == (apart.tau, 5, 8)
    assert found.interval_encoders is not None
    assert apart.interval_encoders is not None
    assert found.interval_encoders.low < apart.interval_encoders.low
    assert agreement(x, y, families=dict.fromkeys(x.encoders, "one family")).interval_encoders is None
