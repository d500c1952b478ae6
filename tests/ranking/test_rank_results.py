"""Leaderboards: order, ties, who is not ranked, and what is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_store import add_run, confusions

from segrank.errors import RankingError
from segrank.ranking.leaderboard import Leaderboard, Options
from segrank.ranking.rank_results import rank_results
from segrank.ranking.results_file import read_results_file
from segrank.ranking.table import results_of
from segrank.ranking.words import answer, digits_for, remarks
from segrank.store import Store

FAST = Options(resamples=500)
TRUE = {"a": 0.9, "b": 0.7, "c": 0.5}


def said(leaderboard: Leaderboard) -> str:
    board = leaderboard.overall or leaderboard.boards[0]
    return "\n".join([answer(board, leaderboard.metric, "mIoU"), *remarks(leaderboard)])


def order(leaderboard: Leaderboard) -> list[tuple[int | None, str]]:
    board = leaderboard.overall or leaderboard.boards[0]
    return [(entry.rank, entry.encoder.removeprefix("small:").split()[0]) for entry in board.entries]


def of_text(folder: Path, text: str, across: Sequence[str] = (), metric: str = "miou") -> Leaderboard:
    path = folder / "results.csv"
    path.write_text(text)
    return rank_results(read_results_file(path, metrics=[metric]), across=across, metric=metric, options=FAST)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three encoders far apart, three seeds each, on two splits."""
    store = Store(tmp_path_factory.mktemp("study"))
    for name, accuracy in TRUE.items():
        for seed in range(3):
            add_run(store, name, accuracy, seed=seed, splits=("val", "dusk"))
    return store


def test_the_true_order_is_found_with_seeds_and_images_covered(study: Store) -> None:
    leaderboard = rank_results(results_of(study), options=FAST)
    (board,) = leaderboard.boards
    assert order(leaderboard) == [(1, "a"), (2, "b"), (3, "c")]
    assert board.of.covers == ("seeds", "images")
    for entry in board.entries:
        assert entry.interval is not None
        assert entry.score is not None
        assert entry.interval[0] < entry.score < entry.interval[1]
        assert entry.rank_interval == (entry.rank, entry.rank)
        assert entry.score == pytest.approx(np.mean([run.score for run in entry.runs]))
        assert [run.seed for run in entry.runs] == [0, 1, 2]
        assert {study.published(run.run).spec.encoder for run in entry.runs} == {entry.encoder.split()[0]}  # type: ignore[union-attr]
    assert "It is told apart from all others." in said(leaderboard)
    assert "these weights" not in said(leaderboard)
    assert "12 images (500 paired resamples) and 3 seeds" in said(leaderboard)


def test_over_two_splits_of_the_same_runs(study: Store) -> None:
    leaderboard = rank_results(results_of(study), across=["eval_split"], options=FAST)
    assert leaderboard.overall is not None
    assert [board.name for board in leaderboard.boards] == ["dusk", "val"]
    assert [board.weight for board in leaderboard.boards] == [0.5, 0.5]
    assert order(leaderboard) == [(1, "a"), (2, "b"), (3, "c")]
    assert [entry.mean_rank for entry in leaderboard.overall.entries] == [1, 2, 3]
    by_hand = np.mean(
        [stats.zscore([entry.score for entry in board.entries], ddof=1) for board in leaderboard.boards], axis=0
    )
    assert [entry.score for entry in leaderboard.overall.entries] == pytest.approx(by_hand.tolist())
    assert leaderboard.overall.of.covers == ("seeds", "images")
    assert all(len(entry.runs) == 6 for entry in leaderboard.overall.entries)
    assert "Weights: dusk 0.5, val 0.5." in said(leaderboard)


def test_equal_encoders_are_not_told_apart_and_equal_scores_share_a_rank(tmp_path: Path) -> None:
    store = Store(tmp_path)
    same = confusions(0.7, "same")
    for name in "ab":
        add_run(store, name, counts=same)
    add_run(store, "c", counts=confusions(0.7, "other"))
    leaderboard = rank_results(results_of(store), options=FAST)
    ranks = {name: rank for rank, name in order(leaderboard)}
    assert ranks["a"] == ranks["b"]
    assert "cannot be told from" in said(leaderboard)
    assert "equal scores to the last digit" in said(leaderboard)
    assert "One seed each" in said(leaderboard)
    assert said(leaderboard).startswith("With one seed each, and another may order them otherwise: ")
    assert "P(best) are of these weights" in said(leaderboard)


def test_fewer_seeds_are_shown_and_not_ranked(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, accuracy, seeds in (("a", 0.6, 3), ("b", 0.7, 3), ("best", 0.95, 2)):
        for seed in range(seeds):
            add_run(store, name, accuracy, seed=seed)
    add_run(store, "best", seed=2, status="failed")
    add_run(store, "never", status="interrupted")
    leaderboard = rank_results(results_of(store), options=FAST)
    assert order(leaderboard) == [(1, "b"), (2, "a")]
    (entry,) = leaderboard.boards[0].incomplete
    assert (entry.rank, entry.seeds, entry.note) == (None, (0, 1), "2 of 3 seeds; seed 2: failed")
    assert "Not ranked, since incomplete: small:best with random weights (2 of 3 seeds; seed 2: failed)" in said(
        leaderboard
    )
    assert "small:never with random weights (interrupted, run" in said(leaderboard)
    chosen = rank_results(results_of(store), where=["seed=0", "seed=1"], options=FAST)
    assert order(chosen) == [(1, "best"), (2, "b"), (3, "a")]
    assert chosen.boards[0].incomplete == ()


def test_one_dataset_too_few_is_shown_and_not_ranked(tmp_path: Path) -> None:
    text = "encoder,dataset,miou\na,x,1\nb,x,2\nc,x,3\na,y,1\nb,y,2\nb,z,7\na,z,8\nc,z,\n"
    leaderboard = of_text(tmp_path, text, ["dataset"])
    assert order(leaderboard) == [(1, "b"), (2, "a")]
    assert leaderboard.overall is not None
    assert [(entry.encoder, entry.note) for entry in leaderboard.overall.incomplete] == [("c", "not ranked on y, z")]
    assert "Without a score under z: c (no miou, run line 9)" in said(leaderboard)
    with pytest.raises(RankingError, match="no encoder is ranked in all of 2 parts"):
        of_text(tmp_path, "encoder,dataset,miou\na,x,1\nb,y,2\n", ["dataset"])


def test_a_damaged_run_takes_nobody_with_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = {name: add_run(store, name, accuracy) for name, accuracy in TRUE.items()}
    path = next(store.run_folder(keys["a"]).glob("evaluations/*/counts.parquet"))
    path.write_bytes(b"")
    leaderboard = rank_results(results_of(store), options=FAST)
    assert order(leaderboard) == [(1, "b"), (2, "c")]
    assert [(run.run, "sha256 differs" in run.status) for run in leaderboard.boards[0].unscored] == [(keys["a"], True)]
    for key in (keys["b"], keys["c"]):
        next(store.run_folder(key).glob("evaluations/*/counts.parquet")).write_bytes(b"")
    with pytest.raises(RankingError, match="counts of all 3 runs are damaged"):
        rank_results(results_of(store), options=FAST)


def test_order_is_never_decided_by_rounding(tmp_path: Path) -> None:
    leaderboard = of_text(tmp_path, "encoder,miou\na,0.70000001\nb,0.70000002\nc,0.70000002\n")
    assert order(leaderboard) == [(1, "b"), (1, "c"), (3, "a")]
    rows = [f"{name},{seed},{score}" for name, scores in (("a", (0.1, 0.2, 0.3)), ("b", (0.3, 0.2, 0.1)))
            for seed, score in enumerate(scores)]  # fmt: skip
    assert order(of_text(tmp_path, "encoder,seed,miou\n" + "\n".join(rows))) == [(1, "a"), (1, "b")]
    assert digits_for([0.5, 0.50001], leaderboard.metric) == 5


@pytest.mark.parametrize(
    ("text", "metric", "expected"),
    [
        ("encoder,miou\na,1\n", "miou", "Only a has a score to rank by."),
        ("encoder,miou\na,1\nb,1\nc,1\n", "miou", "All 3 encoders have the same mIoU."),
        ("encoder,miou\na,1\nb,3\n", "miou", "b leads with mIoU 3.00, before a with 1.00. Whether that is more than"),
        ("encoder,rmse\na,1\nb,3\n", "rmse", "a leads with mIoU 1.00, before b with 3.00."),
        ("encoder,miou\na,1\nb,3\nc,3\n", "miou", "b and c share the first place with mIoU 3.00, before a with 1.00."),
    ],
)  # fmt: skip
def test_the_answer_in_words(tmp_path: Path, text: str, metric: str, expected: str) -> None:
    leaderboard = of_text(tmp_path, text, metric=metric)
    assert said(leaderboard).startswith(expected)


@pytest.mark.parametrize(
    ("middle", "expected"),
    [(1.1, "b leads with mIoU 9.0"), (8.95, "It is told apart from all others"), (8.999, "c cannot be told from it.")],
)
def test_the_answer_in_words_with_seeds(tmp_path: Path, middle: float, expected: str) -> None:
    random = np.random.default_rng(2)
    means = {"a": 1.0, "b": 9.0, "c": middle}
    rows = [f"{name},{seed},{mean + random.normal(0, 0.005)}" for name, mean in means.items() for seed in range(8)]
    assert expected in said(of_text(tmp_path, "encoder,seed,miou\n" + "\n".join(rows)))


def test_a_table_of_1500_models_is_ranked_as_scipy_ranks_it(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).integers(0, 900, 1500) / 1000
    text = "encoder,miou\n" + "".join(f"model{index},{score}\n" for index, score in enumerate(scores))
    leaderboard = of_text(tmp_path, text)
    expected = stats.rankdata(-scores, method="min")
    assert {name: rank for rank, name in order(leaderboard)} == {f"model{i}": rank for i, rank in enumerate(expected)}


def test_many_models_with_seeds_get_rank_intervals(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [f"m{model},{seed},{model / 100 + random.normal(0, 0.02)}" for model in range(300) for seed in range(3)]
    (board,) = of_text(tmp_path, "encoder,seed,miou\n" + "\n".join(rows)).boards
    assert board.entries[0].rank_interval is not None
    assert board.entries[0].rank_interval[1] < 50
    assert not board.entries[0].group


def test_nothing_to_rank_is_said(tmp_path: Path) -> None:
    with pytest.raises(RankingError, match="there are no runs"):
        rank_results(results_of(Store(tmp_path)))
    path = tmp_path / "r.csv"
    path.write_text("encoder,miou\na,1\n")
    with pytest.raises(RankingError, match="without counts per image"):
        rank_results(read_results_file(path), options=Options(group_images="x"))
    with pytest.raises(RankingError, match='has no metric "rmse"'):
        rank_results(read_results_file(path), metric="rmse")
    with pytest.raises(RankingError, match="of miou higher is better"):
        rank_results(read_results_file(path), metric="miou:lower")


def test_what_pretraining_saw_stands_beside_the_encoder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    saw = [{"dataset": "ade20k", "how": "", "source": ""}]
    add_run(store, "a", dataset="ade20k", card={"name": "A", "family": "A", "saw": saw})
    add_run(store, "b", dataset="ade20k", card={"name": "B", "family": "B", "saw": []})
    (board,) = rank_results(results_of(store), options=FAST).boards
    assert {entry.encoder: entry.note for entry in board.entries} == {
        "A": "pretraining saw images of ade20k", "B": "",
    }  # fmt: skip


@pytest.mark.shared
def test_published_segmentation_heads_over_three_datasets(shared: Path) -> None:
    """mmsegmentation's table: ranks on each dataset, and mean ranks, against scipy."""
    results = read_results_file(shared / "tables" / "mmseg_model_zoo.csv", columns={"encoder": "collection"})
    where = [
        "backbone=R-50-D8", "name=*_4xb2-80k_cityscapes-512x1024", "name=*_4xb4-80k_ade20k-512x512",
        "name=*_4xb4-20k_voc12aug-512x512",
    ]  # fmt: skip
    with pytest.raises(RankingError, match="batch_size: 8, 16"):
        rank_results(results, where=where, across=["dataset"])
    leaderboard = rank_results(results, where=where, across=["dataset", "batch_size"])
    assert leaderboard.overall is not None
    assert len(leaderboard.overall.entries) == 11
    assert len(leaderboard.overall.incomplete) == 5
    names = [entry.encoder for entry in leaderboard.overall.entries]
    expected = np.zeros(11)
    for board in leaderboard.boards:
        scores = {entry.encoder: entry.score or 0 for entry in board.entries}
        expected += stats.rankdata([-scores[name] for name in names]) / 3
    np.testing.assert_allclose([entry.mean_rank or 0 for entry in leaderboard.overall.entries], expected)
