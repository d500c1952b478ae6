"""A new encoder among known ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_store import add_run

from segrank.errors import RankingError
from segrank.ranking.leaderboard import Options
from segrank.ranking.place import Placement, place
from segrank.ranking.place_words import answer, remarks
from segrank.ranking.results_file import read_results_file
from segrank.ranking.table import results_of
from segrank.store import Store

FAST = Options(resamples=300)


def named(short: str) -> str:
    return f"small:{short} with random weights"


def said(found: Placement) -> str:
    parts = [*([found.together] if found.together else []), *found.parts]
    return "\n".join([*(answer(found, part) for part in parts), *remarks(found)])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Known encoders, three seeds each, frozen and not; new ones with a single seed."""
    store = Store(tmp_path_factory.mktemp("study"))
    for freeze in (True, False):
        for name, accuracy in (("best", 0.9), ("middle", 0.7), ("worst", 0.5)):
            for seed in range(3):
                add_run(store, name, accuracy, seed=seed, freeze=freeze, lr=0.01 if freeze else 0.001)
    add_run(store, "cheap", 0.7, freeze=True, lr=0.01)
    add_run(store, "both", 0.99, freeze=True, lr=0.01)
    add_run(store, "both", 0.99, freeze=False, lr=0.001)
    add_run(store, "odd", 0.7, freeze=True, lr=0.02)
    return store


def test_it_lands_where_it_belongs_with_a_single_seed(study: Store) -> None:
    found = place(results_of(study), "small:cheap*", options=FAST)
    (part,) = found.parts
    assert {rival.encoder: rival.verdict for rival in part.rivals} == {
        named("best"): "worse", named("middle"): "not separable", named("worst"): "better",
    }  # fmt: skip
    assert part.rank_interval == (2, 3)
    assert part.covers == ("seeds", "images")
    assert part.best is not None
    assert part.best < 0.01
    assert part.left_out == (f"{named('both')} (1 of 3 seeds)",)
    assert f"not separable from {named('middle')}" in said(found)
    assert f"One seed of {named('cheap')}: its spread is taken from the other encoders" in said(found)
    assert [len(rival.runs) for rival in part.rivals] == [3, 3, 3]
    assert found.together is None


def test_with_one_seed_each_it_is_of_these_weights(study: Store) -> None:
    found = place(results_of(study), "small:cheap*", where=["seed=0"], options=FAST)
    assert said(found).startswith("With one seed each, and another may order them otherwise: ")
    assert found.parts[0].covers == ("images",)


def test_over_several_protocols(study: Store) -> None:
    found = place(results_of(study), "small:both*", options=FAST)
    assert [part.name for part in found.parts] == ["freeze=false, lr=0.001", "freeze=true, lr=0.01"]
    assert found.together is not None
    assert found.together.rank == 1
    assert found.together.rank_interval == (1, 1)
    assert [len(rival.runs) for rival in found.together.rivals] == [6, 6, 6]
    scores = np.array([[part.score, *(rival.score for rival in part.rivals)] for part in found.parts])
    by_hand = stats.zscore(scores, axis=1, ddof=1).mean(axis=0)
    assert [found.together.score, *(one.score for one in found.together.rivals)] == pytest.approx(by_hand.tolist())
    assert said(found).startswith("All together: ")
    (frozen,) = place(results_of(study), "small:both*", where=["freeze=true"], options=FAST).parts
    assert frozen.protocol["freeze"] == "true"


def test_another_protocol_is_refused_by_the_fields_that_differ(study: Store, tmp_path: Path) -> None:
    with pytest.raises(RankingError, match=r"differs in\n  lr: 0.02, theirs 0.01\n.*\n.*--set lr=0.01"):
        place(results_of(study), "small:odd*", options=FAST)
    store = Store(tmp_path)
    add_run(store, "a", splits=("val",))
    add_run(store, "b", splits=("test",), steps=50)
    add_run(store, "c", status="failed")
    with pytest.raises(RankingError, match=r"(?s)differs in\n.*steps: 50, theirs 100.*run or score|--set"):
        place(results_of(store), "small:b*", options=FAST)
    with pytest.raises(RankingError, match=r"has no score to rank by \(its runs: failed\)"):
        place(results_of(store), "small:c*", options=FAST)


def of_scores(folder: Path, new: list[float], known: dict[str, list[float]]) -> Placement:
    path = folder / "r.csv"
    rows = [f"{name},{seed},{x}" for name, of in {"new": new, **known}.items() for seed, x in enumerate(of)]
    path.write_text("\n".join(["encoder,seed,miou", *rows]))
    return place(read_results_file(path), "new", options=FAST)


def test_win_probabilities_against_scipy(tmp_path: Path) -> None:
    a, b = [0.51, 0.53, 0.50, 0.525], [0.49, 0.50, 0.495, 0.52]
    (part,) = of_scores(tmp_path, a, {"b": b}).parts
    assert part.rivals[0].better == pytest.approx(stats.ttest_rel(a, b, alternative="less").pvalue)
    assert part.rivals[0].p_holm == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_ties_and_single_scores_claim_nothing(tmp_path: Path) -> None:
    found = of_scores(tmp_path, [0.5, 0.6], {"b": [0.6, 0.5], "c": [0.5, 0.6]})
    assert [rival.rank for rival in found.parts[0].rivals] == [1, 1]
    assert found.parts[0].rank_interval == (1, 3)
    single = of_scores(tmp_path, [0.5], {"b": [0.6]})
    assert said(single).startswith("new is 2nd of 2 by its score. Whether that is more than noise cannot be told.")
    assert single.parts[0].rank_interval is None
    with pytest.raises(RankingError, match="no other encoder than new"):
        of_scores(tmp_path, [0.5], {})


def test_one_of_equal_encoders_is_rarely_told_apart_and_its_rank_interval_holds(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    claimed = 0
    for _ in range(40):
        known = {name: random.normal(0.5, 0.01, 3).tolist() for name in "bcde"}
        claimed += of_scores(tmp_path, random.normal(0.5, 0.01, 1).tolist(), known).parts[0].rank_interval != (1, 5)
    assert claimed <= stats.binom.ppf(0.999, 40, 0.05)
