"""Every pair of settings: names, matching, flips, and what is said of noise."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_store import add_run

from segrank.errors import RankingError
from segrank.ranking.agree import Agreements, agree
from segrank.ranking.agree_words import answer, remarks
from segrank.ranking.agreement import agreement
from segrank.ranking.leaderboard import Options
from segrank.ranking.results_file import read_results_file
from segrank.ranking.table import results_of
from segrank.report.sheets.agree import report
from segrank.store import Store

FAST = Options(resamples=300)
ACCURACY = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.5}


def of_text(folder: Path, text: str, metrics: list[str] | None = None, across: list[str] | None = None) -> Agreements:
    path = folder / "results.csv"
    path.write_text(text)
    return agree(read_results_file(path, metrics=metrics or []), metrics=metrics or [], across=across or [])


def seeded(settings: dict[str, dict[str, float]], noise: float, seeds: int = 4, seed: int = 0) -> str:
    """A table of scores with normal noise of the seeds."""
    random = np.random.default_rng(seed)
    lines = [
        f"{encoder},{setting},{number},{true + noise * random.standard_normal()}"
        for setting, of in settings.items()
        for encoder, true in of.items()
        for number in range(seeds)
    ]
    return "\n".join(["encoder,setting,seed,miou", *lines])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Five encoders, two seeds; frozen, a and e change places."""
    store = Store(tmp_path_factory.mktemp("study"))
    frozen = ACCURACY | {"a": 0.5, "e": 0.9}
    for seed, (name, accuracy) in itertools.product(range(2), ACCURACY.items()):
        add_run(store, name, accuracy, seed=seed)
        add_run(store, name, frozen[name], seed=seed, freeze=True, lr=0.01)
        if name != "b":
            add_run(store, name, accuracy - 0.1, seed=seed, decoder="mask2former")
    return store


def test_settings_are_called_by_what_differs_from_the_base(study: Store) -> None:
    found = agree(results_of(study), options=FAST, draws=200)
    assert [setting.name for setting in found.settings] == ["base", "mask2former", "freeze=true, lr=0.01"]
    assert any("base is decoder=linear, freeze=false, lr=" in note for note in found.notes)
    masks, base, frozen = found.pairs
    assert (base.x.name, base.y.name) == ("base", "freeze=true, lr=0.01")
    assert [len(pair.found.encoders) for pair in found.pairs] == [4, 5, 4]
    assert base.found.tau == pytest.approx((3 - 7) / 10)  # a and e with each other and with b, c, d
    assert masks.found.tau == 1
    assert frozen.found.tau == pytest.approx((1 - 5) / 6)
    moves = dict(zip(base.found.encoders, base.found.moves, strict=True))
    assert list(moves.values()) == [4, 0, 0, 0, -4]
    assert base.found.flipped == 7
    assert base.found.really_flipped >= 5  # two seeds leave some open
    assert {run for runs in base.x.cell.runs for run in runs} <= set(study.run_keys())
    assert "by more than noise explains" in answer(found)


def test_only_what_may_be_set_beside_each_other(study: Store) -> None:
    with pytest.raises(RankingError, match="they differ in"):
        agree(results_of(study), across=["freeze"], options=FAST)
    with pytest.raises(RankingError, match="has 1 setting to compare"):
        agree(results_of(study), where=["decoder=mask2former"], options=FAST)


def test_the_same_runs_on_two_splits_with_one_seed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, accuracy in ACCURACY.items():
        add_run(store, name, accuracy, splits=("val", "dusk"))
    found = agree(results_of(store), across=["eval_split"], options=FAST, draws=200)
    (pair,) = found.pairs
    assert (pair.x.name, pair.y.name) == ("val", "dusk")
    assert pair.found.tau == pytest.approx(1)
    assert pair.found.interval is not None
    assert answer(found).endswith("It is the same order in both.")
    assert "the true order is that of these weights" in " ".join(remarks(found))


def test_sizes_are_settings_and_families_are_matched(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = {"base": ("timm:vit_base_patch14_dinov2.lvd142m", "timm:vit_base_patch16_224.mae"),
             "large": ("timm:vit_large_patch14_dinov2.lvd142m", "timm:vit_large_patch16_224.mae")}  # fmt: skip
    for _, encoders in names.items():
        for encoder, accuracy in zip(encoders, (0.8, 0.6), strict=True):
            add_run(store, encoder, accuracy, weights="pretrained")
    with pytest.raises(RankingError, match="card_size"):
        agree(results_of(store), options=FAST)
    (pair,) = agree(results_of(store), across=["card_size"], options=FAST).pairs
    assert (pair.x.name, pair.y.name) == ("card_size=base", "card_size=large")
    assert set(pair.found.encoders) == {"DINOv2", "MAE"}
    assert pair.found.tau == 1


def test_metrics_of_a_wide_table_by_hand(tmp_path: Path) -> None:
    text = "encoder,miou,depth:rmse,odd\na,0.9,1,5\nb,0.8,3,4\nc,0.7,2,\nd,0.6,4,7\n"
    found = of_text(tmp_path, text, ["miou", "depth:rmse", "odd:lower"])
    first, second, third = found.pairs
    # less rmse is better: of 6 pairs only b, c is in the other order
    assert first.found.tau == pytest.approx((5 - 1) / 6)
    assert [(flip.a, flip.b, flip.verdict) for flip in first.found.flips] == [("b", "c", "unknown")]
    # a, b, d: less is better, so b, a, d beside a, b, d
    assert second.found.tau == pytest.approx((2 - 1) / 3)
    assert second.found.encoders == third.found.encoders == ("a", "b", "d")
    assert "cannot be told" in answer(found)
    assert "no interval covers" in " ".join(remarks(found))


@pytest.mark.shared
def test_visbench_tasks_equal_scipys(shared: Path) -> None:
    path = shared / "tables" / "visbench_leaderboard_wide.csv"
    signs = {"semantic_segmentation:miou": 1, "depth:rmse": -1, "surface_normal:mean": -1, "retrieval:mAP": 1}
    metrics = [f"{name}:lower" if sign < 0 else name for name, sign in signs.items()]
    found = agree(read_results_file(path, metrics=metrics), metrics=metrics)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(found.pairs) == 6
    for pair in found.pairs:
        x, y = (
            [signs[of.metric.name] * float(row[of.metric.name]) for row in rows if row[pair.x.metric.name]]
            for of in (pair.x, pair.y)
        )
        expected = stats.kendalltau(x, y)
        assert pair.found.tau == pytest.approx(expected.statistic)
        assert pair.found.p_value == pytest.approx(expected.pvalue)
        assert pair.found.weighted_tau == pytest.approx(stats.weightedtau(x, y).statistic)


TRUE = {name: 0.4 + 0.05 * at for at, name in enumerate("abcdefgh")}


def test_the_same_order_is_not_called_another(tmp_path: Path) -> None:
    found = of_text(tmp_path, seeded({"x": TRUE, "y": TRUE}, noise=0.05))
    (pair,) = found.pairs
    assert pair.found.tau is not None
    assert pair.found.tau < 1
    assert pair.found.really_flipped == 0
    assert "the noise of seeds on these images alone may explain the difference" in answer(found)


def test_noise_alone_is_not_called_a_flip(tmp_path: Path) -> None:
    equal = dict.fromkeys(TRUE, 0.5)
    found = of_text(tmp_path, seeded({"x": equal, "y": equal}, noise=0.02, seed=3))
    assert found.pairs[0].found.flipped > 5
    assert found.pairs[0].found.really_flipped == 0
    assert "the noise of seeds on these images alone may explain the difference" in answer(found)


def test_one_real_flip_is_found(tmp_path: Path) -> None:
    other = TRUE | {"d": TRUE["e"], "e": TRUE["d"]}
    found = of_text(tmp_path, seeded({"x": TRUE, "y": other}, noise=0.002))
    (flip,) = found.pairs[0].found.flips
    assert (flip.a, flip.b, flip.verdict) == ("e", "d", "real")
    assert found.pairs[0].found.tau == pytest.approx(1 - 2 / 28)
    assert "more than the noise of seeds on these images explains" in answer(found)


def test_ties_and_one_shared_encoder_have_no_tau(tmp_path: Path) -> None:
    text = "encoder,setting,miou\na,x,1\nb,x,1\na,y,1\nb,y,2\na,z,\nb,z,1\n"
    found = of_text(tmp_path, text)
    assert [pair.found.tau for pair in found.pairs] == [None, None, None]
    assert answer(found) == "There is no tau between any of 3 settings."
    assert report(found).frame["tau"].null_count() == 3
    (pair,) = of_text(tmp_path, "encoder,setting,miou\na,base,1\nb,x,1\na,x,3\n").pairs
    assert (pair.x.name, pair.found.encoders, pair.found.tau) == ("base", ("a",), None)


def test_1500_models_are_no_burden(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = [f"m{at},{first},{second}" for at, (first, second) in enumerate(random.random((1500, 2)).tolist())]
    found = of_text(tmp_path, "\n".join(["encoder,miou,f1", *lines]), ["miou", "f1"]).pairs[0].found
    assert len(found.flips) == 1000
    x, y = (np.array([float(line.split(",")[at]) for line in lines]) for at in (1, 2))
    assert found.tau == pytest.approx(stats.kendalltau(x, y).statistic)
    pairs = 1500 * 1499 // 2
    assert found.flipped == round(pairs * (1 - (found.tau or 0)) / 2)


def test_weighted_taus_of_draws_are_scipys(tmp_path: Path) -> None:
    found = of_text(tmp_path, seeded({"x": TRUE, "y": TRUE | {"h": 0.3}}, noise=0.0005))
    x, y = (setting.of for setting in found.settings)
    interval = agreement(x, y, draws=200).weighted_interval
    expected = stats.weightedtau(*zip(*((TRUE[n], (TRUE | {"h": 0.3})[n]) for n in TRUE), strict=True)).statistic
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((expected, expected))
