"""Two encoders against each other: what is paired, what is said, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_store import add_run, confusions

from segrank.errors import RankingError
from segrank.ranking.compare import Comparison, compare
from segrank.ranking.compare_words import answer, remarks
from segrank.ranking.leaderboard import Options
from segrank.ranking.rank_results import rank_results
from segrank.ranking.results_file import read_results_file
from segrank.ranking.table import results_of
from segrank.store import Store

FAST = Options(resamples=300)


def of_text(folder: Path, rows: Sequence[tuple[str, int, float]], a: str = "a", b: str = "b") -> Comparison:
    path = folder / "results.csv"
    path.write_text("encoder,seed,miou\n" + "".join(f"{name},{seed},{score}\n" for name, seed, score in rows))
    return compare(read_results_file(path), a, b, options=FAST)


def said(comparison: Comparison) -> str:
    lines = [answer(part, comparison.metric, comparison.options.level) for part in comparison.parts]
    return "\n".join([*lines, *remarks(comparison)])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("study"))
    for name, accuracy in (("near", 0.701), ("alike", 0.7), ("far", 0.5)):
        for seed in range(3):
            add_run(store, name, accuracy, seed=seed, splits=("val", "dusk"))
    return store


def test_scores_alone_give_the_paired_t_test_over_shared_seeds(tmp_path: Path) -> None:
    a, b = [0.51, 0.53, 0.50, 0.525, 0.9], [0.49, 0.50, 0.495, 0.52]
    rows = [("a", seed, score) for seed, score in enumerate(a)] + [("b", seed, score) for seed, score in enumerate(b)]
    found = of_text(tmp_path, rows)
    (part,) = found.parts
    wanted = stats.ttest_rel(a[:4], b)
    assert part.value == pytest.approx(np.mean(a[:4]) - np.mean(b))
    assert part.p_value == pytest.approx(wanted.pvalue)
    assert part.interval == pytest.approx(tuple(wanted.confidence_interval()))
    assert [run.run for run in part.a.runs] == ["line 2", "line 3", "line 4", "line 5"]
    assert "Seed 4 of a left out: the other encoder has no such score." in said(found)
    assert (part.classes, part.deciding, part.images) == ((), None, None)
    turned = of_text(tmp_path, rows, "b", "a").parts[0]
    assert (turned.value, turned.better) == pytest.approx((-part.value, 1 - (part.better or 0)))


def test_other_seeds_are_not_paired(tmp_path: Path) -> None:
    a, b = [0.51, 0.53, 0.50], [0.49, 0.50, 0.495]
    found = of_text(tmp_path, [("a", i, x) for i, x in enumerate(a)] + [("b", 5 + i, x) for i, x in enumerate(b)])
    p = found.parts[0].p_value
    # as sure as Welch's test by their own spreads at most
    assert p is not None
    assert stats.ttest_ind(a, b, equal_var=False).pvalue <= p < 0.3
    assert "no seed in common" in said(found)
    assert "not paired" in said(found)


def test_it_agrees_with_the_ranking_of_all(study: Store) -> None:
    (board,) = rank_results(results_of(study), options=FAST).boards
    (part,) = compare(results_of(study), "small:near*", "small:far*", options=FAST).parts
    scores = {entry.encoder: entry for entry in board.entries}
    assert scores[part.a.encoder].score == part.a.score
    assert scores[part.b.encoder].interval == pytest.approx(part.b.interval)
    assert part.seeds_known_from == 3
    assert part.covers == ("seeds", "images")
    assert part.value == pytest.approx(np.mean([one.value for one in part.classes]))


def test_a_difference_that_is_there_and_one_that_is_not(study: Store) -> None:
    found = compare(results_of(study), "small:far*", "small:near*", options=FAST)
    (part,) = found.parts
    assert part.settled
    assert part.needed is None
    assert said(found).startswith("small:near with random weights is better than small:far with random weights by 18.")
    assert "turn it when they are left out" in said(found)
    alike = compare(results_of(study), "small:near*", "small:alike*", options=FAST)
    assert not alike.parts[0].settled
    assert alike.parts[0].needed is not None
    assert "which is not settled: 95% interval -" in said(alike)
    assert "would not settle it" in said(alike) or "would settle it with a probability of 80%" in said(alike)
    assert "Of 3 classes 0 differ" in said(alike)


def test_each_part_by_itself(study: Store) -> None:
    found = compare(results_of(study), "small:near*", "small:far*", across=["eval_split"], options=FAST)
    assert [part.name for part in found.parts] == ["dusk", "val"]
    assert "On dusk: " in said(found)
    assert "some will seem settled by chance" in said(found)
    with pytest.raises(RankingError, match=r'no field of the protocol.*\n.*\n.*did you mean "eval_split"'):
        compare(results_of(study), "small:near*", "small:far*", across=["eval_splt"])


def test_with_one_seed_it_is_of_these_weights(study: Store) -> None:
    found = compare(results_of(study), "small:near*", "small:far*", where=["seed=1"], options=FAST)
    assert said(found).startswith("With one seed each, and another may order them otherwise: ")
    assert found.parts[0].covers == ("images",)


def test_nothing_is_claimed_of_single_scores(tmp_path: Path) -> None:
    found = of_text(tmp_path, [("a", 0, 0.5), ("b", 0, 0.6)])
    assert said(found).startswith("b is ahead of a by 0.1000 mIoU. Whether that is more than noise cannot be told.")
    same = of_text(tmp_path, [("a", 0, 0.5), ("b", 0, 0.5)])
    assert said(same).startswith("a and b have the same mIoU: 0.50")


def test_lower_may_be_better(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("encoder,seed,rmse\na,0,1\na,1,1.1\na,2,1.2\nb,0,3\nb,1,3.2\nb,2,3.1\n")
    found = compare(read_results_file(path, metrics=["rmse"]), "a", "b", metric="rmse", options=FAST)
    assert said(found).startswith("a is better than b by 2.00 rmse (95% interval 1.")


def test_equal_encoders_are_rarely_told_apart(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    settled = 0
    for _ in range(40):
        scores = random.normal(0.5, 0.01, (2, 4))
        rows = [(name, seed, scores[at, seed]) for at, name in enumerate("ab") for seed in range(4)]
        settled += of_text(tmp_path, rows).parts[0].settled
    assert settled <= stats.binom.ppf(0.999, 40, 0.05)


def test_who_cannot_be_compared(tmp_path: Path, study: Store) -> None:
    with pytest.raises(RankingError, match=r'no encoder "nera".*\n.*small:near'):
        compare(results_of(study), "nera", "small:far*")
    with pytest.raises(RankingError, match=r'no encoder "small:neer with.*\n.*\n.*did you mean "small:near with'):
        compare(results_of(study), "small:neer with random weights", "small:far*")
    with pytest.raises(RankingError, match="may be any of 3"):
        compare(results_of(study), "small:*", "small:far*")
    with pytest.raises(RankingError, match="compared with itself"):
        compare(results_of(study), "small:far*", "small:far*")
    store = Store(tmp_path)
    add_run(store, "a", freeze=True)
    add_run(store, "b", freeze=False)
    add_run(store, "c", freeze=False, status="failed")
    with pytest.raises(RankingError, match="differ in\n  freeze: false, true"):
        compare(results_of(store), "small:a*", "small:b*")
    with pytest.raises(RankingError, match="no scores under the same protocol"):
        compare(results_of(store), "small:a*", "small:b*", across=["freeze"])
    with pytest.raises(RankingError, match=r"small:c with random weights has no score there \(failed\)"):
        compare(results_of(store), "small:b*", "small:c*")


def test_runs_of_other_protocols_do_not_stand_in_the_way(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in "ab":
        add_run(store, name, counts=confusions(0.7, name))
    add_run(store, "c", lr=0.5)
    (part,) = compare(results_of(store), "small:a*", "small:b*", options=FAST).parts
    assert part.protocol["lr"] != "0.5"
