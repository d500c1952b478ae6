"""Contrasts of pretraining objectives, over pretraining seeds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from generated_cells import counted_cell
from scipy import stats
from typer.testing import CliRunner

from segrank.cli import app
from segrank.errors import RankingError
from segrank.ranking.controlled import _errors
from segrank.ranking.effects import Effects, effects
from segrank.ranking.intervals import estimates
from segrank.ranking.pretraining_seeds import by_pretraining_seed
from segrank.ranking.rank_results import rank_results
from segrank.ranking.results_file import read_results_file

MIM = {"supervised": "none", "pixel-mim": "pixels", "abstract-mim": "abstract", "promptable": "none", "floor": "none"}
SCORES = {
    "supervised": [0.40, 0.43, 0.39], "pixel-mim": [0.50, 0.52, 0.48], "abstract-mim": [0.56, 0.57, 0.55],
    "promptable": [0.38, 0.43, 0.40], "floor": [0.30, 0.33, 0.31],
}  # fmt: skip


def table(folder: Path, seeds: int = 3, tuned: int = 1, **budgets: float) -> Path:
    lines = ["encoder,seed,miou,card_family,card_pretraining_seed,card_mim,card_promptable,card_objective,card_timm,"
             "card_images_seen_m"]  # fmt: skip
    for name, scores in SCORES.items():
        for seed in range(seeds):
            for tuning in range(tuned):
                facts = (MIM[name], name == "promptable", "none" if name == "floor" else "words", "vit")
                seen = 0.0 if name == "floor" else budgets.get(name.replace("-", "_"), 1.0)
                row = (f"{name}-{seed}", tuning, scores[seed] + tuning / 100, name, seed, *facts, seen)
                lines.append(",".join(map(str, row)))
    path = folder / "results.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def found(path: Path) -> Effects:
    return effects(read_results_file(path, metrics=["miou"]))


def test_contrasts_are_paired_by_pretraining_seed_and_judged_by_student(tmp_path: Path) -> None:
    steps = {(step.lineage.child, step.lineage.parent): step for step in found(table(tmp_path)).steps}
    scores = {name: np.array(of) for name, of in SCORES.items()}
    mim = (scores["pixel-mim"] + scores["abstract-mim"]) / 2
    others = (scores["supervised"] + scores["promptable"]) / 2
    expected = {
        ("masked image modelling", "other objectives"): mim - others,
        ("abstract-mim", "pixel-mim"): scores["abstract-mim"] - scores["pixel-mim"],
        ("promptable", "other objectives"): scores["promptable"] - (2 * mim + scores["supervised"]) / 3,
        **{(name, "no pretraining"): of - scores["floor"] for name, of in scores.items() if name != "floor"},
    }
    assert steps.keys() == expected.keys()
    for names, values in expected.items():
        test = stats.ttest_1samp(values, 0)
        interval = test.confidence_interval(0.95)
        assert steps[names].value == pytest.approx(values.mean())
        assert steps[names].p_value == pytest.approx(test.pvalue)
        assert steps[names].interval == pytest.approx((interval.low, interval.high))
        assert steps[names].covers == ("seeds",)
    assert len(steps["abstract-mim", "pixel-mim"].runs) == 6
    assert steps["abstract-mim", "no pretraining"].verdict == "helped"


@pytest.mark.parametrize("spread", [0.0, 1e-3, 0.1])
def test_other_images_widen_a_contrast_beyond_its_seeds(spread: float) -> None:
    of = estimates(counted_cell(4, 1, 20, 3))
    assert of.image_noise is not None
    setting: Any = SimpleNamespace(of=of)
    values, weights = np.array([0.1, 0.1 + spread]), np.array([0.5, 0.5, -0.5, -0.5])
    half = _errors(setting, values, weights).half_width(0.95)[0]
    by_seeds = float(stats.sem(values) * stats.t.ppf(0.975, 1))
    # the draws themselves: two of the encoders against the other two, in each resample
    by_images = 1.96 * (of.image_noise.draws @ weights).std()
    assert half >= by_seeds * (1 - 1e-9)
    assert half >= 0.9 * by_images
    assert half <= 1.5 * np.hypot(by_seeds, by_images)


def test_seeds_of_the_tuning_are_averaged_first(tmp_path: Path) -> None:
    one, two = (found(table(tmp_path, tuned=tuned)).steps for tuned in (1, 2))
    assert [step.value for step in two] == pytest.approx([step.value for step in one])
    assert [step.p_value for step in two] == pytest.approx([step.p_value for step in one])


def test_one_pretraining_seed_tells_of_its_weights_alone(tmp_path: Path) -> None:
    steps = found(table(tmp_path, seeds=1)).steps
    assert {(step.verdict, step.interval, step.covers) for step in steps} == {("unknown", None, ())}


def test_objectives_with_another_budget_are_not_compared(tmp_path: Path) -> None:
    steps = found(table(tmp_path, abstract_mim=2.0)).steps
    names = {(step.lineage.child, step.lineage.parent) for step in steps}
    assert ("abstract-mim", "pixel-mim") not in names
    assert ("abstract-mim", "no pretraining") in names


def test_pretraining_seeds_are_the_seeds_of_an_objective(tmp_path: Path) -> None:
    results = by_pretraining_seed(read_results_file(table(tmp_path), metrics=["miou"]))
    [board] = rank_results(results).boards
    assert [entry.encoder for entry in board.entries] == [
        "abstract-mim", "pixel-mim", "supervised", "promptable", "floor",
    ]  # fmt: skip
    assert board.entries[0].score == pytest.approx(np.mean(SCORES["abstract-mim"]))
    of_seeds = {(step.lineage.child, step.lineage.parent): step.p_value for step in effects(results).steps}
    assert of_seeds["abstract-mim", "pixel-mim"] == pytest.approx(
        stats.ttest_rel(SCORES["abstract-mim"], SCORES["pixel-mim"]).pvalue
    )
    done = CliRunner().invoke(app, ["rank", str(tmp_path / "results.csv"), "--pretraining-seeds"])
    assert done.exit_code == 0, done.output
    assert "abstract-mim-0" not in done.output
    with pytest.raises(RankingError, match="several seeds"):
        by_pretraining_seed(read_results_file(table(tmp_path, tuned=2), metrics=["miou"]))
