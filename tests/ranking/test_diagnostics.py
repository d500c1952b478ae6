"""Diagnostics on studies of known truth: each sign where it is, and none where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from synthetic_store import IMAGES, add_run, confusions, evaluation_of

from segrank.counts import CONFUSION, counts_table
from segrank.ranking.diagnostics import CEILING, diagnose
from segrank.ranking.finding import Finding
from segrank.ranking.leaderboard import Options
from segrank.ranking.results_file import read_results_file
from segrank.ranking.table import results_of
from segrank.store import Store

FAST = Options(resamples=300)
NAMES = ("a", "b", "c", "d", "e")


def named(findings: Sequence[Finding], name: str) -> Finding:
    return next(finding for finding in findings if name in finding.name)


def of_lines(folder: Path, lines: Sequence[str]) -> tuple[Finding, ...]:
    path = folder / "results.csv"
    path.write_text("\n".join(lines))
    return diagnose(read_results_file(path), options=FAST).findings


def scores(encoder: str, rest: str, value: float, spread: float, seed: int, seeds: int = 3) -> list[str]:
    random = np.random.default_rng([ord(encoder), *rest.encode(), seed])
    return [f"{encoder},{rest},{number},{value + spread * random.standard_normal():.5f}" for number in range(seeds)]


def two(column: str, values: tuple[str, str], y: Sequence[float], spread: float = 0.002, seed: int = 0) -> list[str]:
    """Five encoders 0.04 apart under the first value, and with scores `y` under the second."""
    lines = [f"encoder,{column},seed,miou"]
    for at, encoder in enumerate(NAMES):
        lines += scores(encoder, values[0], 0.6 - 0.04 * at, spread, seed)
        lines += scores(encoder, values[1], y[at], spread, seed)
    return lines


@pytest.mark.parametrize(
    ("column", "values", "name"),
    [
        ("dataset", ("x", "y"), "across datasets"),
        ("split", ("val", "dusk"), "under shift"),
        ("lr", ("0.001", "0.01"), "learning rate"),
    ],
)
def test_one_real_flip_is_seen_and_one_order_is_not(
    tmp_path: Path, column: str, values: tuple[str, str], name: str
) -> None:
    (finding,) = of_lines(tmp_path, two(column, values, [0.3, 0.34, 0.26, 0.22, 0.18]))
    assert name in finding.name
    assert finding.verdict == "seen"
    assert ("a over b" in finding.seen) != ("b over a" in finding.seen)
    assert len(finding.runs) == 30
    (same,) = of_lines(tmp_path, two(column, values, [0.34, 0.30, 0.26, 0.22, 0.18]))
    assert (same.verdict, same.do) == ("not seen", "")


def test_one_seed_and_no_counts_tell_nothing_and_one_setting_has_nothing_to_say(tmp_path: Path) -> None:
    lines = [line for line in two("dataset", ("x", "y"), [0.3, 0.34, 0.26, 0.22, 0.18]) if line.split(",")[2] != "1"]
    lines = [line for line in lines if line.split(",")[2] != "2"]
    (finding,) = of_lines(tmp_path, lines)
    assert finding.verdict == "cannot be told"
    assert of_lines(tmp_path, [line for line in lines if ",y," not in line]) == ()


def test_noise_alone_moves_no_ranking(tmp_path: Path) -> None:
    seen = 0
    for seed in range(8):
        lines = ["encoder,dataset,seed,miou"]
        for encoder in NAMES:
            lines += [line for dataset in "xy" for line in scores(encoder, dataset, 0.5, 0.01, seed)]
        seen += of_lines(tmp_path, lines)[0].verdict == "seen"
    assert seen <= 2  # 5 % of 8 and two standard deviations


def test_linear_probing_that_falls_far(tmp_path: Path) -> None:
    finding = named(of_lines(tmp_path, two("freeze", ("false", "true"), [0.3, 0.26, 0.22, 0.18, 0.14])), "probing")
    assert finding.verdict == "seen"
    assert finding.means == "frozen encoders lose more than what parts them when fine-tuned"
    near = named(of_lines(tmp_path, two("freeze", ("false", "true"), [0.59, 0.55, 0.51, 0.47, 0.43])), "probing")
    assert near.verdict == "not seen"


def test_smaller_patches_with_their_cost(tmp_path: Path) -> None:
    lines = two("patch_size", ("16", "8"), [0.59, 0.548, 0.513, 0.468, 0.431])
    hours = ["train_hours", *("4" if line.split(",")[1] == "8" else "1" for line in lines[1:])]
    lines = [f"{line},{hour}" for line, hour in zip(lines, hours, strict=True)]
    finding = named(of_lines(tmp_path, lines), "patches")
    assert finding.verdict == "seen"
    assert "8 against " in finding.seen
    assert "for 4.0 times the training time" in finding.seen
    gains = two("patch_size", ("16", "8"), [0.69, 0.648, 0.613, 0.568, 0.531])
    assert named(of_lines(tmp_path, gains), "patches").verdict == "not seen"


def test_runs_with_other_specs_and_equal_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    same = confusions(0.7, "same")
    first = add_run(store, "a", counts=same, lr=1e-3)
    second = add_run(store, "a", counts=same, lr=1e-2)
    add_run(store, "b", 0.6, lr=1e-3)
    add_run(store, "b", 0.61, lr=1e-2)
    finding = named(diagnose(results_of(store), options=FAST).findings, "without effect")
    assert finding.verdict == "seen"
    assert set(finding.runs) == {first, second}
    assert "differ in lr (0.001, 0.01)" in finding.seen


def test_equal_sums_over_other_images_are_not_equal_runs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    counts = confusions(0.7, "one")
    counts[:2] = counts[0]  # two images with the same labels, so that predictions can change places
    other = counts.copy()
    other[0, 0, :2] += (-1, 1)
    other[1, 0, :2] += (1, -1)
    add_run(store, "a", counts=counts)
    add_run(store, "b", counts=other)
    assert named(diagnose(results_of(store), options=FAST).findings, "without effect").verdict == "not seen"


def test_an_encoder_below_its_random_floor(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        add_run(store, "timm:vit_base_patch16_224.mae", 0.3, weights="pretrained", seed=seed)
        add_run(store, "timm:vit_base_patch16_224.mae", 0.6, weights="random", seed=seed)
    finding = named(diagnose(results_of(store), options=FAST).findings, "floor")
    assert finding.verdict == "seen"
    assert finding.seen.startswith("mae-base: -")
    assert len(finding.runs) == 6


def test_an_order_that_was_still_moving(tmp_path: Path) -> None:
    """One encoder gains ten points in the last quarter, on half of the images, where its neighbour is two ahead."""
    for gain, verdict in ((0.1, "seen"), (0.0, "not seen")):
        store = Store(tmp_path / verdict.replace(" ", ""))
        for name, accuracy, late in (("a", 0.70, 0.0), ("b", 0.72, gain), ("c", 0.74, 0.0)):
            final = confusions(accuracy, name, noise=0)
            run = add_run(store, name, counts=final, splits=("val", "dusk"))
            before = confusions(accuracy - late, name, noise=0)[: IMAGES // 2]
            record = store.published(run)
            assert record is not None
            evaluation = evaluation_of(run, before, spec=record.spec, split="val", step=75, final=False)
            names = [f"val/{number:03}" for number in range(len(before))]
            store.add_evaluation(evaluation, counts_table(names, [{CONFUSION: matrix} for matrix in before]))
        finding = named(diagnose(results_of(store), options=FAST).findings, "still moving")
        assert finding.verdict == verdict
        assert len(finding.runs) == 3
        assert "dusk" not in finding.seen  # it was not looked at along the way


def test_the_ceiling_is_read_only_where_label_maps_are_given(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_run(store, "a", 0.95, patch_size=8, crop=(32, 32), counts=confusions(0.95, noise=0))
    fine = np.random.default_rng(0).integers(0, 3, (32, 32)).astype(np.uint8)
    coarse = np.kron(np.arange(16).reshape(4, 4) % 3, np.ones((8, 8))).astype(np.uint8)
    asked: list[tuple[str, str]] = []
    for labels, verdict in ((fine, "seen"), (coarse, "not seen")):

        def maps(dataset: str, split: str, digest: str, labels: np.ndarray = labels) -> list[np.ndarray]:
            asked.append((dataset, split))
            assert digest.startswith("sha256:")
            return [labels]

        scored = confusions(0.95 if verdict == "seen" else 0.7, noise=0)
        store = Store(tmp_path / verdict.replace(" ", ""))
        add_run(store, "a", patch_size=8, crop=(32, 32), counts=scored)
        assert named(diagnose(results_of(store), labels=maps, options=FAST).findings, CEILING).verdict == verdict
    assert asked == [("scenes", "val")] * 2
    assert CEILING not in {finding.name for finding in diagnose(results_of(store), options=FAST).findings}
