import numpy as np
import pytest
from generated_cells import cell_of, counted_cell
from scipy import stats

from segrank.ranking.difference import POWER, to_settle
from segrank.ranking.intervals import estimates


def test_as_many_seeds_as_it_says_settle_a_difference_with_that_probability() -> None:
    random = np.random.default_rng(2)
    scores = random.normal([[0.5], [0.503]], 0.01, (2, 4))
    needed = to_settle(estimates(cell_of(scores.tolist())), 0, 1)
    assert needed is not None
    assert needed.images is None
    assert needed.seeds is not None
    apart = scores[0] - scores[1]
    effect = abs(apart.mean()) / apart.std(ddof=1)

    def power(seeds: int) -> float:
        """Of the paired t test, by the noncentral t distribution."""
        return float(stats.nct.sf(stats.t.ppf(0.975, seeds - 1), seeds - 1, effect * np.sqrt(seeds)))

    assert power(needed.seeds) > POWER - 0.01
    assert power(needed.seeds - 2) < POWER


def test_more_images_settle_what_images_leave_open() -> None:
    of = estimates(counted_cell(encoders=2, seeds=1, images=60, classes=3, seed=3))
    needed = to_settle(of, 0, 1)
    assert needed is not None
    assert needed.seeds is None
    assert needed.images is not None
    assert of.image_noise is not None
    # errors fall with the root of the number of images
    noise = of.image_noise.covariance
    error = np.sqrt(noise[0, 0] + noise[1, 1] - 2 * noise[0, 1])
    wanted = (1.96 + 0.84) * error / abs(of.value[0] - of.value[1])
    assert needed.images == pytest.approx(60 * wanted**2, rel=0.1)


def test_what_is_settled_needs_nothing_and_what_images_bound_no_seeds_settle() -> None:
    assert to_settle(estimates(cell_of([[0.5, 0.51], [0.9, 0.91]], seeds=[[0, 1], [2, 3]])), 0, 1) is None
    needed = to_settle(estimates(cell_of([[0.5, 0.52], [0.5001, 0.54]])), 0, 1)
    assert needed is not None
    assert needed.seeds is not None
    far = to_settle(estimates(cell_of([[0.5, 0.6], [0.60001, 0.5]])), 0, 1)
    assert far is not None
    assert far.seeds is None
