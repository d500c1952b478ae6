import numpy as np
import pytest
from generated_cells import cell_of, counted_cell
from scipy import stats

from segrank.ranking.difference import difference, to_settle
from segrank.ranking.intervals import estimates, only, score
from segrank.ranking.ranks import holm, pairwise, two_sided
from segrank.ranking.resample import image_draws


def test_a_single_encoder_has_the_t_interval() -> None:
    values = [0.51, 0.53, 0.50, 0.525]
    found = score(estimates(cell_of([values])), 0)
    assert found.interval is not None
    wanted = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.interval.low, found.interval.high) == pytest.approx(wanted)
    assert found.interval.covers == ("seeds",)
    assert "no counts per image" in found.note


def test_two_encoders_with_the_same_seeds_are_paired() -> None:
    a, b = [0.51, 0.53, 0.50, 0.525], [0.49, 0.50, 0.495, 0.52]
    found = difference(estimates(cell_of([a, b[::-1]], seeds=[[0, 1, 2, 3], [3, 2, 1, 0]])), 0, 1)
    wanted = stats.ttest_rel(a, b)
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert found.better == pytest.approx(stats.ttest_rel(a, b, alternative="less").pvalue)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(wanted.confidence_interval()))


def test_two_encoders_with_other_seeds_are_not() -> None:
    a, b = [0.51, 0.53, 0.50, 0.525], [0.49, 0.50, 0.495]
    found = difference(estimates(cell_of([a, b])), 0, 1)
    # no variance smaller than the pooled one, and no surer than Welch's test
    own = np.var(a, ddof=1), np.var(b, ddof=1)
    terms = np.maximum(own, (3 * own[0] + 2 * own[1]) / 5) / np.array([4, 3])
    df = min(terms.sum() ** 2 / (terms**2 / np.array([5, 5])).sum(), 5)
    wanted = 2 * stats.t.sf((np.mean(a) - np.mean(b)) / np.sqrt(terms.sum()), df)
    assert found.p_value == pytest.approx(wanted)
    assert found.p_value > stats.ttest_ind(a, b, equal_var=False).pvalue


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_an_encoder_noisier_than_the_others_is_covered_too(seeds: int) -> None:
    random = np.random.default_rng(seeds)
    held, repetitions = np.zeros(3), 300
    for _ in range(repetitions):
        scores = random.normal(0.5, 0.005, (8, seeds))
        scores[0] = random.normal(0.5, 0.02, seeds)
        of = estimates(cell_of(scores.tolist()))
        apart = [difference(of, 0, other).settled for other in range(1, 8)]
        one = score(of, 0).interval
        assert one is not None
        claimed = holm(two_sided(pairwise(of))[np.triu_indices(8, 1)])
        held += [one.low <= 0.5 <= one.high, 1 - np.mean(apart), claimed.min() > 0.05]
    assert (held / repetitions > [0.92, 0.92, 0.9]).all(), held / repetitions


def test_with_many_seeds_an_interval_is_hardly_wider_for_what_it_does_not_assume() -> None:
    scores = np.random.default_rng(0).normal(0.5, 0.01, (10, 10))
    of = estimates(cell_of(scores.tolist()))
    widths = [found.high - found.low for at in range(10) if (found := score(of, at).interval)]
    assert np.mean(widths) < 1.25 * 2 * 1.96 * 0.01 / np.sqrt(10)


def test_lower_may_be_better() -> None:
    up, down = (estimates(cell_of([[1.0, 2.0], [4.0, 6.0]], higher_is_better=higher)) for higher in (True, False))
    one, other = difference(up, 0, 1), difference(down, 0, 1)
    assert one.value == other.value == -3.5
    assert one.interval == other.interval
    assert one.better is not None
    assert other.better == pytest.approx(1 - one.better)
    assert one.better < 0.5


def test_with_one_seed_the_interval_is_that_of_images() -> None:
    cell = counted_cell(encoders=2, seeds=1, images=300, classes=4)
    assert cell.images is not None
    of = estimates(cell)
    found, apart = score(of, 0), difference(of, 0, 1)
    assert found.interval is not None
    assert apart.interval is not None
    assert found.interval.covers == ("images",)
    assert "one seed each" in found.note
    assert found.interval.df > 30
    drawn = np.stack([miou[:, 0] for miou in image_draws(cell.images).miou])
    # the percentiles of the resamples, where images are many and nothing is rare
    wanted = np.quantile(drawn[0], [0.025, 0.975])
    assert (found.interval.low, found.interval.high) == pytest.approx(wanted, abs=0.1 * np.ptp(wanted))
    wanted = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    assert (apart.interval.low, apart.interval.high) == pytest.approx(wanted, abs=0.1 * np.ptp(wanted))


def test_seeds_and_images_add_up_and_what_is_in_both_counts_once() -> None:
    cell = counted_cell(encoders=3, seeds=4, images=200, classes=5)
    of = estimates(cell)
    found = score(of, 1)
    assert found.interval is not None
    assert of.image_noise is not None
    assert of.seed_noise is not None
    assert found.interval.covers == ("seeds", "images")
    assert found.note == ""
    images, own = of.image_noise.covariance[1, 1], of.image_noise.per_seed[1]
    error = np.sqrt(images + max(of.seed_noise.variance[1] - own, 0) / 4)
    at_least = error * stats.t.ppf(0.975, found.interval.df)
    # each part by its own quantile, where an encoder's own seeds alone are believed
    apart = stats.t.ppf(0.975, 3) ** 2 * of.seed_noise.own[1, 1] / 4 + 1.98**2 * (images - own / 4)
    wanted = max(at_least, np.sqrt(apart))
    assert found.interval.high - found.value == pytest.approx(wanted, rel=0.02)
    # these seeds differ by the luck of each image alone, which the images' part holds already
    assert of.seed_noise.variance.mean() == pytest.approx(of.image_noise.per_seed.mean(), rel=1)


def test_an_encoder_with_one_seed_borrows_the_spread_of_the_others_and_says_so() -> None:
    of = estimates(cell_of([[0.5], [0.6, 0.62, 0.61], [0.7, 0.71, 0.68]]))
    found = score(of, 0)
    assert found.interval is not None
    pooled = (np.var([0.6, 0.62, 0.61], ddof=1) + np.var([0.7, 0.71, 0.68], ddof=1)) / 2
    assert found.interval.high - 0.5 == pytest.approx(stats.t.ppf(0.975, 4) * np.sqrt(pooled))
    assert found.note.startswith("one seed of a: ")


@pytest.mark.parametrize(
    ("scores", "why"), [([[0.5], [0.6]], "one seed each"), ([[0.5] * 3, [0.6] * 3], "none had arri")]
)
def test_there_is_no_interval_where_nothing_is_known(scores: list[list[float]], why: str) -> None:
    of = estimates(cell_of(scores))
    found, apart = score(of, 0), difference(of, 0, 1)
    assert [found.interval, apart.interval, apart.better, apart.p_value] == [None] * 4
    assert why in found.note
    assert "no counts per image" in apart.note
    assert to_settle(of, 0, 1) is None


def test_means_do_not_depend_on_the_order_of_the_seeds() -> None:
    value = estimates(cell_of([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])).value
    assert value[0] == value[1]
    assert np.mean([0.1, 0.2, 0.3]) != np.mean([0.3, 0.2, 0.1])


def test_scores_that_move_exactly_alike_are_not_told_apart_for_sure() -> None:
    a, b = [1.0, 2.0], [1.5, 2.5]
    found = difference(estimates(cell_of([a, b])), 0, 1)
    assert found.p_value == pytest.approx(stats.ttest_ind(a, b).pvalue)


def test_the_same_run_twice_is_no_difference() -> None:
    cell = counted_cell(encoders=1, seeds=2, images=50, classes=3)
    assert cell.images is not None
    twice = [cell.scores[0].tolist()] * 2
    images = type(cell.images)(
        cell.images.names, cell.images.classes, cell.images.truth, cell.images.hits * 2, cell.images.predicted * 2
    )
    found = difference(estimates(cell_of(twice, images=images)), 0, 1)
    assert found.interval is not None
    assert (found.value, found.better, found.p_value) == (0, 0.5, 1)


def test_intervals_hold_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    held, total = 0, 0
    for _ in range(400):
        of = estimates(cell_of(random.normal(0.5, 0.01, (5, 3)).tolist()))
        for encoder in range(5):
            found = score(of, encoder).interval
            assert found is not None
            held += found.low <= 0.5 <= found.high
            total += 1
    # more often, as encoders that are alike are not taken to be so
    assert 0.95 < held / total < 0.995


def test_some_of_the_encoders_keep_what_all_know_of_seeds() -> None:
    of = estimates(counted_cell(encoders=4, seeds=3, images=40, classes=3))
    some = only(of, ["d", "b"])
    assert some.encoders == ("d", "b")
    one, other = difference(of, 3, 1), difference(some, 0, 1)
    assert (one.value, one.interval, one.p_value) == (other.value, other.interval, other.p_value)
