"""Cheap protocols for an expensive one: search, cost, leaving encoders out, and from when on an order was there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from synthetic_store import add_run, confusions, evaluation_of

from segrank.counts import CONFUSION, counts_table
from segrank.errors import RankingError
from segrank.ranking.leaderboard import Options
from segrank.ranking.protocol_search import combined, search, sets_of
from segrank.ranking.recommend import Recommendation, Wanted, recommend
from segrank.ranking.recommend_export import frame
from segrank.ranking.recommend_words import answer, remarks
from segrank.ranking.results_file import read_results_file
from segrank.ranking.search_validation import by_chance, confidence_for_all, leave_out
from segrank.ranking.table import results_of
from segrank.store import Store

FAST = Options(resamples=300)
TRUE = np.linspace(0.4, 0.8, 12)
EVERY = np.ones(12, bool)


@pytest.mark.parametrize("lacking", [[4], []])
def test_sets_are_scored_as_scipy_does_and_lacking_encoders_left_out(lacking: list[int]) -> None:
    random = np.random.default_rng(0)
    merits = TRUE + 0.2 * random.standard_normal((3, 12)) * np.array([[1], [5], [1]])
    merits[1, lacking] = np.nan
    merits[1, 2] = merits[1, 3]
    sets = search(TRUE, merits, np.array([1.0, 2.0, 3.0]), most=3, confidence=0.95, kept=EVERY)
    assert sets.members == ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
    assert sets.cost.tolist() == [1, 2, 3, 3, 4, 5, 6]
    assert sets.encoders.tolist() == [12 - len(lacking) * (1 in of) for of in sets.members]
    for members, tau in zip(sets.members, sets.tau, strict=True):
        there = np.isfinite(merits[list(members)]).all(axis=0)
        scores = stats.zscore(merits[list(members)][:, there], axis=1, ddof=1).mean(axis=0)
        assert tau == pytest.approx(stats.kendalltau(TRUE[there], scores).statistic)
    assert (sets.at_least < sets.tau).all()


def test_a_protocol_that_ties_all_has_no_tau_and_decides_nothing() -> None:
    merits = np.stack([np.full(12, 0.5), TRUE])
    sets = search(TRUE, merits, np.full(2, np.nan), most=2, confidence=0.95, kept=EVERY)
    assert np.isnan(sets.tau[0])
    assert sets.tau[1:].tolist() == pytest.approx([1, 1])
    assert sets.choose(0.5, shown=False, below=np.inf) == 1  # the smaller of two that are as good
    assert combined(merits).argsort().tolist() == list(range(12))


def test_the_number_of_sets_is_bounded() -> None:
    assert max(map(len, sets_of(8, 3, 10))) == 3
    assert max(map(len, sets_of(63, 3, 10))) == 2
    assert {len(of) for of in sets_of(63, 3, 1500)} == {1}
    random = np.random.default_rng(0)
    many, cost = random.random((3, 1500)), np.ones(2)
    sets = search(many[0], many[1:], cost, most=2, confidence=0.9, kept=np.ones(1500, bool))
    assert sets.tau[0] == pytest.approx(stats.kendalltau(many[0], many[1]).statistic)
    assert by_chance(many[0], many[1:], sets.members, level=0.9) is None


def test_pareto_front_and_choice_by_hand() -> None:
    half = TRUE.copy()
    half[[0, 1]] = half[[1, 0]]
    merits = np.stack([-TRUE, half, TRUE, TRUE])
    sets = search(TRUE, merits, np.array([1.0, 2.0, 3.0, 4.0]), most=1, confidence=0.9, kept=EVERY)
    assert sets.tau.tolist() == pytest.approx([-1, 1 - 2 / 66, 1, 1])
    assert sets.pareto().tolist() == [True, True, True, False]
    assert sets.choose(0.9, shown=False, below=10) == 1
    assert sets.choose(1.0, shown=False, below=10) == 2
    assert sets.choose(1.0, shown=False, below=3) is None


def test_choosing_among_protocols_that_know_nothing_is_found_out() -> None:
    chosen, unseen, beyond = [], [], 0
    for seed in range(40):
        scores = np.random.default_rng(seed).standard_normal((5, 8))
        target, merits, cost, kept = scores[0], scores[1:], np.ones(4), np.ones(8, bool)
        sets = search(target, merits, cost, most=1, confidence=0.95, kept=kept)
        at = sets.choose(-1, shown=False, below=np.inf)
        assert at is not None
        left = leave_out(target, merits, cost, sets.members[at], most=1, wanted=-1, below=np.inf)
        assert left is not None
        assert left.unseen_tau is not None
        assert left.right + left.wrong + left.none == 28
        chosen.append(sets.tau[at])
        unseen.append(left.unseen_tau)
        chance = by_chance(target, merits, sets.members, level=0.95)
        assert chance is not None
        beyond += sets.tau[at] > chance
    assert np.mean(chosen) > 0.25
    assert abs(np.mean(unseen)) < 0.12
    assert beyond <= 5  # 2 of 40 are to be expected


def test_what_is_said_of_all_sets_holds_for_the_best_of_them() -> None:
    """Of protocols that know nothing, the highest tau seldom shows that any knows something."""
    shown = 0
    for seed in range(40):
        scores = np.random.default_rng(seed).standard_normal((7, 10))
        target, merits = scores[0], scores[1:]
        chance = by_chance(target, merits, sets_of(6, 2, 10), level=0.9, seed=seed)
        confidence = confidence_for_all(chance, 21, 10, 0.9)
        sets = search(target, merits, np.ones(6), most=2, confidence=confidence, kept=np.ones(10, bool))
        shown += bool((sets.at_least > 0).any())
    assert shown <= 9  # 4 of 40 are to be expected
    assert confidence_for_all(None, 10, 200, 0.95) == pytest.approx(0.995)


def test_families_are_left_out_whole_and_count_once() -> None:
    merits = np.stack([TRUE**2, np.random.default_rng(0).standard_normal(12)])
    family = np.arange(12) // 2
    sets = search(TRUE, merits, np.ones(2), most=1, confidence=0.9, kept=EVERY, family=family)
    alone = search(TRUE[::2], merits[:, ::2], np.ones(2), most=1, confidence=0.9, kept=EVERY[::2])
    assert sets.families.tolist() == [6, 6]
    assert sets.at_least[0] == alone.at_least[0]
    left = leave_out(TRUE, merits, np.ones(2), (0,), most=1, wanted=0.9, below=np.inf, family=family)
    assert left is not None
    assert left.unseen_tau == 1
    assert leave_out(TRUE, merits, np.ones(2), (0,), most=1, wanted=0.9, below=9, family=family // 2) is None


def test_a_protocol_that_knows_all_stays_chosen() -> None:
    merits = np.stack([TRUE**2, np.random.default_rng(0).standard_normal(12)])
    left = leave_out(TRUE, merits, np.ones(2), (0,), most=2, wanted=0.9, below=np.inf)
    assert left is not None
    assert (left.one, left.two, left.low, left.high, left.unseen_tau) == (1, 1, 1, 1, 1)
    assert (left.right, left.wrong, left.none) == (66, 0, 0)
    four = slice(0, 4)
    assert leave_out(TRUE[four], merits[:, four], np.ones(2), (0,), most=1, wanted=0, below=9) is None


def of_table(folder: Path, scores: dict[str, np.ndarray], hours: dict[str, float], **wanted: float) -> Recommendation:
    lines = [
        f"m{at},{setting},{score},{hours[setting]},A100,{at}"
        for setting, of in scores.items()
        for at, score in enumerate(of.tolist())
    ]
    path = folder / "results.csv"
    path.write_text("\n".join(["encoder,setting,miou,train_hours,device,memory_gib", *lines]))
    where = ["memory_gib<9"] if wanted.pop("filtered", 0) else []
    results = read_results_file(path)
    return recommend(results, target=["dear"], where=where, wanted=Wanted(**wanted), options=FAST)  # type: ignore[arg-type]


def test_the_least_cost_with_confidence_is_told(tmp_path: Path) -> None:
    off = TRUE.copy()
    off[[0, 11]] = off[[11, 0]]
    scores = {"dear": TRUE, "cheap": off, "middle": TRUE**2, "dearer": TRUE}
    hours = {"dear": 10.0, "cheap": 1.0, "middle": 2.0, "dearer": 11.0}
    found = of_table(tmp_path, scores, hours, tau=0.7)
    assert found.chosen is not None
    assert (found.chosen.names, found.shown, found.chosen.cost) == (("middle",), True, 2)
    assert found.left_out is not None
    # without both that it exchanges, the cheap one has the target's order
    assert (found.left_out.one, found.left_out.two) == (1, 65 / 66)
    assert found.needed is not None
    assert 0.9 < found.needed < 0.97
    assert answer(found).startswith("middle: tau 1.00 with dear over 12 encoders (")
    assert ", at 20 % of its training hours. It is the cheapest" in answer(found)
    table = frame(found)
    assert table.filter(table["chosen"])["of_target"].to_list() == pytest.approx([0.2])
    assert table.filter(table["pareto"])["protocols"].to_list() == ["cheap", "middle"]
    unsure = of_table(tmp_path, {"dear": TRUE, "cheap": off}, hours, tau=0.3)
    assert unsure.chosen is not None
    assert unsure.chosen.tau == pytest.approx(stats.kendalltau(TRUE, off).statistic)
    assert not unsure.shown
    assert answer(unsure).startswith("No protocol cheaper than dear is shown")
    none = of_table(tmp_path, {"dear": TRUE, "cheap": -TRUE, "dearer": TRUE}, hours, tau=0.5)
    assert none.chosen is None
    assert "The highest tau is 1.00, of dearer, at 110 % of its training hours." in answer(none)
    assert len(of_table(tmp_path, scores, hours, filtered=1).target.of.encoders) == 9


def test_a_target_has_to_be_one_setting(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("encoder,setting,dataset,miou\na,x,one,1\nb,x,one,2\na,y,one,1\nb,y,one,2\na,x,two,1\nb,x,two,3\n")
    results = read_results_file(path)
    assert recommend(results, target=["dataset=two"], options=FAST).target.name == "two"
    with pytest.raises(RankingError, match="2 settings are what --target says"):
        recommend(results, target=["dataset=one"], options=FAST)
    with pytest.raises(RankingError, match='no setting "three"'):
        recommend(results, target=["three"], options=FAST)


def test_a_store_with_other_devices_and_evaluations_along_the_way(tmp_path: Path) -> None:
    store = Store(tmp_path)
    final = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}
    early = {"a": 0.6, "b": 0.7, "c": 0.8, "d": 0.9}
    for name, accuracy in final.items():
        run = add_run(store, name, accuracy)
        add_run(store, name, accuracy, freeze=True, steps=50)
        spec = store.published(run).spec  # type: ignore[union-attr]
        for step, now in ((25, early), (50, final), (75, final)):
            made = confusions(now[name], f"{name}{step}", images=6, noise=0.01)
            evaluation = evaluation_of(run, made, spec=spec, split="val", step=step, final=False)
            names = [f"val/{number:03}" for number in range(6)]
            store.add_evaluation(evaluation, counts_table(names, [{CONFUSION: matrix} for matrix in made]))
    found = recommend(
        results_of(store),
        target=["freeze=false"],
        along=results_of(store, final=False),
        wanted=Wanted(tau=0.9),
        options=FAST,
        draws=200,
    )
    assert found.unit == "training hours"
    assert found.along is not None
    assert [(point.progress, point.images) for point in found.along.points] == [(0.25, 6), (0.5, 6), (0.75, 6)]
    assert [point.tau for point in found.along.points] == pytest.approx([-1, 1, 1])
    assert found.along.stable_from(0.9) == 0.5
    said = " ".join(remarks(found))
    assert "was stable after 50 % of the steps" in said
    assert "4 encoders can say nothing of others" in said
    assert "repeated would have tau" in said
    assert found.candidates[0].found is not None
    assert found.candidates[0].found.interval is not None
    assert found.candidates[0].cost == 1
    results = results_of(store)
    device = pl.when(pl.col("freeze")).then(pl.lit("old GPU")).otherwise(pl.lit("new GPU"))
    elsewhere = replace(results, rows=results.rows.with_columns(device.alias("device"), cost_train_flops=10**12))
    by_flops = recommend(elsewhere, target=["freeze=false"], options=FAST, draws=200)
    assert by_flops.unit == "training PFLOP"
    assert by_flops.candidates[0].cost == pytest.approx(1e12 * 16 * 50 / 1e15)
    assert "devices differ (new GPU, old GPU)" in by_flops.notes[0]
