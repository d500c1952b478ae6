"""What errors have in common between encoders and between settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from generated_cells import cell_of, counted_cell

from segrank.ranking.agreement import agreement
from segrank.ranking.error_covariances import error_covariances, joint_error_covariances, shared_covariance
from segrank.ranking.intervals import estimates
from segrank.ranking.ranks import rank
from segrank.ranking.resample import image_draws


def test_the_same_images_are_shared_and_others_not() -> None:
    cell = counted_cell(encoders=3, seeds=1, images=40, classes=3)
    of = estimates(cell)
    assert of.image_noise is not None
    np.testing.assert_allclose(shared_covariance(of, of), of.image_noise.covariance)
    assert cell.images is not None
    others = estimates(cell, image_draws(cell.images, seed=1))
    assert not shared_covariance(of, others).any()


def test_a_setting_beside_itself_has_the_same_errors() -> None:
    of = estimates(counted_cell(encoders=4, seeds=3, images=60, classes=3))
    for joint in joint_error_covariances(of, of):
        apart = np.concatenate([np.eye(4), -np.eye(4)]).T
        np.testing.assert_allclose(apart @ joint @ apart.T, 0, atol=1e-6 * np.trace(joint))


def test_seeds_of_the_same_runs_move_both_settings_and_those_of_others_do_not() -> None:
    random = np.random.default_rng(0)
    luck = random.normal(0, 0.01, (6, 4))
    x, y = (cell_of((0.5 + luck + random.normal(0, 0.001, (6, 4))).tolist()) for _ in range(2))
    same = joint_error_covariances(estimates(x), estimates(y))
    others = replace(y, runs=tuple(tuple(f"other {name}" for name in names) for names in y.runs))
    apart = joint_error_covariances(estimates(x), estimates(others))
    for joint, independent in zip(same, apart, strict=True):
        assert (joint[:6, 6:].diagonal() > 0.9 * np.sqrt(joint[:6, :6].diagonal() * joint[6:, 6:].diagonal())).all()
        assert not independent[:6, 6:].any()
        assert np.linalg.eigvalsh(joint)[0] > -1e-12


def test_shared_noise_explains_less_than_independent_noise() -> None:
    """Two settings of the same runs, nearly in one order: only what is not shared can part them."""
    random = np.random.default_rng(1)
    true = np.linspace(0.49, 0.51, 8)[:, None]
    luck = random.normal(0, 0.01, (8, 5))
    x, y = (cell_of((true + luck + random.normal(0, 0.0005, (8, 5))).tolist()) for _ in range(2))
    other_runs = replace(y, runs=tuple(tuple(f"other {name}" for name in names) for names in y.runs))
    shared, apart = (agreement(estimates(x), estimates(of), draws=500).if_same for of in (y, other_runs))
    assert shared is not None
    assert apart is not None
    assert shared.expected > apart.expected + 0.2


def test_of_fewer_images_than_encoders_none_is_surely_best() -> None:
    of = estimates(counted_cell(encoders=12, seeds=1, images=8, classes=8, seed=4))
    for covariance in error_covariances(of):
        assert np.linalg.matrix_rank(covariance) >= 11
    best = rank(of, draws=2000).best
    assert best is not None
    assert max(best) < 0.9
