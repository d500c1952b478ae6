from dataclasses import replace

import numpy as np
import pytest
from generated_cells import cell_of, counted_cell

from segrank.ranking.intervals import estimates
from segrank.ranking.ranks import _groups, holm, pairwise, rank


def test_equal_scores_share_a_rank_and_almost_equal_ones_do_not() -> None:
    found = rank(estimates(cell_of([[0.5], [0.7], [0.5], [0.5 + 1e-12], [0.9]])))
    assert found.rank == (4, 2, 4, 3, 1)
    assert found.order == (4, 1, 3, 0, 2)
    assert [found.interval, found.best, found.groups] == [None] * 3
    assert "one seed each" in found.note


def test_lower_may_be_better() -> None:
    scores = [[1.0, 1.1], [3.0, 3.1], [2.0, 2.3]]
    up, down = (rank(estimates(cell_of(scores, higher_is_better=higher))) for higher in (True, False))
    assert (up.rank, down.rank) == ((3, 1, 2), (1, 3, 2))
    assert up.order == down.order[::-1]
    assert up.best is not None
    assert down.best is not None
    assert up.best[1] > 0.9 < down.best[0]


def test_one_encoder_is_first() -> None:
    found = rank(estimates(cell_of([[0.5, 0.6]])))
    assert (found.rank, found.order, found.interval) == ((1,), (0,), None)


@pytest.mark.parametrize("scores", [[[1.0, 2.0], [1.5, 2.5]], [[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]], [[1.0, 2.0]] * 4])
def test_scores_that_move_alike_or_are_the_same_leave_the_order_open(scores: list[list[float]]) -> None:
    found = rank(estimates(cell_of(scores)))
    count = len(scores)
    assert found.interval_all == ((1, count),) * count
    assert found.best is not None
    assert sum(found.best) == pytest.approx(1)
    if len({sum(row) for row in scores}) == 1:
        assert found.rank == (1,) * count
        assert found.best == pytest.approx([1 / count] * count, abs=0.03)


def test_the_same_counts_under_several_names_are_tied() -> None:
    one = counted_cell(encoders=1, seeds=1, images=50, classes=3)
    assert one.images is not None
    images = replace(one.images, hits=one.images.hits * 3, predicted=one.images.predicted * 3)
    found = rank(estimates(cell_of([one.scores[0].tolist()] * 3, images=images)))
    assert (found.rank, found.interval_all) == ((1, 1, 1), ((1, 3),) * 3)
    assert found.best == pytest.approx([1 / 3] * 3, abs=0.03)


def test_holm_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, then 0.022 x 2 and 0.5 x 1, none below the one before it
    assert holm(np.array([0.5, 0.01, 0.022, 0.02])) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    rows = np.random.default_rng(0).random((3, 5))
    assert (holm(rows) == np.stack([holm(row) for row in rows])).all()


def test_groups_overlap_and_letters_say_who_cannot_be_told_apart() -> None:
    noise = np.array([-0.004, 0.0, 0.004])
    means = [0.5, 0.507, 0.514, 0.6]
    scores = [(mean + np.roll(noise, shift)).tolist() for shift, mean in enumerate(means)]
    found = rank(estimates(cell_of(scores, seeds=[[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]])))
    # standard error of a difference sqrt(2/3) 0.004, 8 degrees of freedom: 0.007 is 2.1 of it (p = 0.065), 0.014 is 4.3
    # (p = 0.003, and Holm has three left to reject there)
    assert found.order == (3, 2, 1, 0)
    assert found.groups == ((3,), (2, 1), (1, 0))
    assert found.letters == ("c", "bc", "b", "a")
    assert found.interval_all == ((3, 4), (2, 4), (2, 3), (1, 1))
    assert found.best == pytest.approx((0, 0, 0, 1), abs=0.01)


def test_all_that_are_not_told_apart_are_one_group() -> None:
    found = rank(estimates(cell_of(np.random.default_rng(1).normal(0.5, 0.01, (6, 3)))))
    assert found.groups is not None
    assert [sorted(group) for group in found.groups] == [[0, 1, 2, 3, 4, 5]]
    assert found.interval_all == ((1, 6),) * 6
    assert found.letters == ("a",) * 6
    assert found.best is not None
    assert sum(found.best) == pytest.approx(1)


def test_equal_encoders_are_not_ordered() -> None:
    random = np.random.default_rng(0)
    claimed, sure, whole = 0, 0, 0
    for _ in range(300):
        found = rank(estimates(cell_of(random.normal(0.5, 0.01, (8, 3)))), draws=300)
        assert found.best is not None
        assert found.interval_all is not None
        assert found.interval is not None
        claimed += any(interval != (1, 8) for interval in found.interval_all)
        whole += sum(interval == (1, 8) for interval in found.interval)
        sure += max(found.best) > 0.9
    assert claimed / 300 < 0.08
    assert whole / (300 * 8) > 0.93
    assert sure / 300 < 0.05


def test_pairs_do_not_depend_on_how_many_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    of = estimates(counted_cell(encoders=5, seeds=2, images=30, classes=3))
    whole = pairwise(of)
    monkeypatch.setattr("segrank.ranking.ranks._PAIRS", 70)
    assert (pairwise(of) == whole).all()
    assert (whole + whole.T == 1).all()


def test_many_encoders() -> None:
    scores = np.random.default_rng(0).normal(np.linspace(0, 1, 400)[:, None], 0.05, (400, 2))
    found = rank(estimates(cell_of(scores)), draws=100)
    assert found.groups is None
    assert found.interval is not None
    assert all(low <= place <= high for (low, high), place in zip(found.interval, found.rank, strict=True))


def test_groups_that_double_with_every_two_encoders_are_given_up() -> None:
    alike = np.ones((60, 60), bool)
    first = np.arange(0, 60, 2)
    alike[first, first + 1] = alike[first + 1, first] = False  # 2^30 maximal sets
    assert _groups(alike, np.arange(60)) is None
