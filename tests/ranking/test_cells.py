"""From rows to cells, and counts per image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from synthetic_store import IMAGES, add_run, confusions

from segrank.counts import CONFUSION, SCHEMA, counts_table
from segrank.errors import RankingError, StoreError
from segrank.ranking.cells import cell_of, read_counts, run_counts
from segrank.ranking.resample import exact_miou
from segrank.ranking.table import results_of
from segrank.store import Store


def test_counts_per_image_against_loops() -> None:
    random = np.random.default_rng(0)
    matrices = random.integers(0, 3, (5, 4, 4)) * random.integers(0, 9, (5, 4, 4))
    matrices[:, 2] = 0  # a class without labelled pixels
    matrices[3] = 0  # an image without any
    table = counts_table("edcba", [{CONFUSION: matrix, "boundary": matrix[:, :3]} for matrix in matrices])
    counts = run_counts(table, 4)
    assert counts.names == ("a", "c", "d", "e")
    for row, name in enumerate(counts.names):
        matrix = matrices["edcba".index(name)]
        assert counts.truth[row].tolist() == matrix.sum(axis=1).tolist()
        assert counts.predicted[row].tolist() == matrix.sum(axis=0).tolist()
        assert counts.hits[row].tolist() == matrix.diagonal().tolist()


@pytest.mark.parametrize(
    ("a", "b", "pixels"), [(3, 0, 1), (0, 3, 1), (-1, 0, 1), (0, -1, 1), (0, 0, -1), (0, 0, 2**40)]
)
def test_counts_that_cannot_be_are_refused(a: int, b: int, pixels: int) -> None:
    with pytest.raises(StoreError):
        run_counts(pl.DataFrame([("x", CONFUSION, a, b, pixels)], schema=SCHEMA, orient="row"), 3)
    with pytest.raises(StoreError, match="damaged"):
        run_counts(pl.DataFrame({"kind": [CONFUSION], "image": [1], "a": ["x"]}), 3)


def test_a_cell_has_encoders_seeds_runs_and_scores_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = {(name, seed): add_run(store, name, seed=seed) for name in "ba" for seed in (1, 0)}
    results = results_of(store)
    counts, wrong = read_counts(store, results.rows)
    cell = cell_of(results.rows, results.metric(), counts)
    assert not wrong
    assert cell.encoders == ("small:a with random weights", "small:b with random weights")
    assert cell.seeds == ((0, 1), (0, 1))
    assert cell.runs == ((keys["a", 0], keys["a", 1]), (keys["b", 0], keys["b", 1]))
    assert cell.images is not None
    assert cell.images.classes == ("road", "sky", "car")
    assert len(cell.images.names) == IMAGES
    for scores, miou in zip(cell.scores, exact_miou(cell.images), strict=True):
        np.testing.assert_allclose(scores, miou, rtol=1e-12)


def test_other_images_or_other_labels_cannot_be_paired(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_run(store, "a", counts=confusions(0.7))
    other = add_run(store, "b", counts=confusions(0.7, images=IMAGES - 2))
    results = results_of(store)
    with pytest.raises(RankingError, match=f"and {other} are scored on different images: 2 are in one of them only"):
        cell_of(results.rows, results.metric(), read_counts(store, results.rows)[0])
    labels = add_run(store, "c", counts=confusions(0.7, split="test"))
    rows = results.rows.clear().vstack(results_of(store).rows.filter(pl.col("encoder") != "small:b"))
    with pytest.raises(RankingError, match=f"and {labels} are scored against different labels"):
        cell_of(rows, results.metric(), read_counts(store, rows)[0])


def test_counts_that_are_damaged_or_belong_to_another_score_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = [add_run(store, name) for name in "abc"]
    path = next(store.run_folder(keys[0]).glob("evaluations/*/counts.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    scores = next(store.run_folder(keys[1]).glob("evaluations/*/scores.json"))
    miou = results_of(store).rows.filter(pl.col("run") == keys[1])["miou"].item()
    scores.write_text(scores.read_text().replace(f'"miou": {miou}', '"miou": 0.9'))
    counts, wrong = read_counts(store, results_of(store).rows)
    assert len(counts) == 1
    assert "sha256 differs" in wrong[keys[0]]
    assert "do not give its mIoU of 0.9000" in wrong[keys[1]]


def test_images_are_grouped_by_their_names(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_run(store, "a")
    results = results_of(store)
    counts = read_counts(store, results.rows)[0]
    cell = cell_of(results.rows, results.metric(), counts, group_images=r"val/(\d\d)")
    assert cell.images is not None
    assert cell.images.names == ("00", "01")
    assert cell.images.truth[1].tolist() == confusions(0.7, "a0")[10:].sum(axis=(0, 2)).tolist()
    for expression, message in (("[", "no regular expression"), ("x", "is nowhere in"), ("val", "into one group")):
        with pytest.raises(RankingError, match=message):
            cell_of(results.rows, results.metric(), counts, group_images=expression)
