"""From a store to a table of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from synthetic_store import add_run, confusions, evaluation_of

from segrank.cards import card_named
from segrank.counts import CONFUSION, counts_table
from segrank.errors import SegrankError
from segrank.metrics import mean_accuracy
from segrank.ranking.results import across_settings
from segrank.ranking.table import PROTOCOL, results_of
from segrank.spec import RunSpec
from segrank.store import Store

MAE = "timm:vit_base_patch16_224.mae"


def test_a_row_is_a_run_with_an_evaluation_and_says_all_of_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = add_run(store, MAE, weights="pretrained", splits=("val", "dusk"), freeze=True, crop=(32, 48))
    rows = results_of(store).rows
    assert rows.select("run", "eval_split", "own").rows() == [(key, "dusk", False), (key, "val", True)]
    record = store.published(key)
    assert record is not None
    row = rows.row(by_predicate=pl.col("own"), named=True)
    expected = {
        "status": "ok", "label": "mae-base", "family": "MAE", "encoder": MAE, "freeze": True, "crop": "32x48",
        "precision": "fp32", "eval_dataset": "scenes", "score_precision": "fp32", "corruption": "none", "seed": 0,
        "train_hours": 1.0, "memory_gib": 2.0, "image_ms": pytest.approx(10), "parameters_m": 5.0, "gflops": 2.0,
        "licence": "cc-by-nc-4.0", "card_mim": "pixels", "card_size": "base", "card_year": 2021, "device": "cpu",
        "miou": record.miou, "images": 12, "progress": 1.0, "scored_classes": '["road", "sky", "car"]',
        "train_digest": record.identity["dataset"], "cost_train_s": 3600.0,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_runs_without_a_score_are_rows_with_a_status_and_no_number(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_run(store, "fine")
    add_run(store, "fell", status="failed")
    add_run(store, "stopped", status="interrupted")
    add_run(store, "left", status=None)
    unscored = store.run_folder(add_run(store, "unscored"))
    for path in unscored.glob("evaluations/*/*"):
        path.unlink()
    damaged = store.run_folder(add_run(store, "damaged")) / "record.json"
    damaged.write_text("{")
    add_run(store, "lost")
    lost = store.run_folder(add_run(store, "lost", seed=1))
    for name in ("record.json", "spec.json"):
        (lost / name).write_text("")
    told: list[SegrankError] = []
    rows = results_of(store, on_damage=told.append).rows
    assert dict(rows.select("encoder", "status").rows()) == {
        "small:fine": "ok", "small:fell": "failed", "small:stopped": "interrupted", "small:left": "begun",
        "small:unscored": "unscored", "small:damaged": "damaged", "small:lost": "ok",
    }  # fmt: skip
    assert rows.filter(pl.col("status") != "ok")["miou"].null_count() == 5
    assert len(told) == 2
    assert str(damaged) in str(told[0]) + str(told[1])


def test_evaluations_along_the_way_are_kept_apart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = add_run(store, "a")
    counts = confusions(0.4)[:3]
    spec = RunSpec(encoder="small:a", dataset="scenes", steps=100)
    early = evaluation_of(key, counts, spec=spec, split="val", step=25, final=False)
    store.add_evaluation(early, counts_table("abc", [{CONFUSION: matrix} for matrix in counts]))
    assert results_of(store).rows["step"].to_list() == [100]
    along = results_of(store, final=False).rows
    assert along.select("step", "progress", "images", "status").rows() == [(25, 0.25, 3, "ok")]


def test_what_was_counted_besides_makes_no_second_row(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = add_run(store, "a")
    counts = confusions(0.7, "a0")
    spec = RunSpec(encoder="small:a", dataset="scenes", steps=100)
    table = counts_table(map(str, range(12)), [{CONFUSION: matrix} for matrix in counts])
    more = evaluation_of(key, counts, spec=spec, split="val", also=("boundary",))
    spoilt = evaluation_of(key, counts, spec=spec, split="val", corruption="jpeg", severity=3)
    for evaluation in (more, spoilt):
        store.add_evaluation(evaluation, table)
    rows = results_of(store).rows.sort("severity")
    assert rows.select("evaluation", "corruption", "own").rows() == [
        (more.key, "none", True), (spoilt.key, "jpeg", False),
    ]  # fmt: skip


def test_further_metrics_come_from_the_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add_run(store, "a")
    assert "mean_accuracy" not in [metric.name for metric in results_of(store).metrics]
    results = results_of(store, with_further=True)
    assert results.rows["mean_accuracy"].item() == mean_accuracy(confusions(0.7, "a0").sum(axis=0))
    assert results.metric("calibration_error").direction == "lower"
    assert results.rows["calibration_error"].null_count() == 1


def test_an_encoder_is_its_card_or_its_reference_with_the_content_of_its_weights(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = {"weights": "sha256:1"}, {"weights": "sha256:2"}
    add_run(store, MAE, weights="pretrained")
    add_run(store, MAE, weights="random")
    add_run(store, MAE, weights="here/w.pt", digests=one)
    add_run(store, MAE, weights="there/w.pt", digests=one, seed=1)
    add_run(store, MAE, weights="here/w.pt", digests=two, seed=2)
    add_run(store, "timm:vit_small_patch14_dinov2", weights="pretrained")
    add_run(store, "timm:vit_small_patch14_dinov2.lvd142m", weights="pretrained", seed=1)
    rows = results_of(store).rows
    labels = {(row["encoder"], row["weights"], row["seed"]): row["label"] for row in rows.iter_rows(named=True)}
    assert labels[MAE, "pretrained", 0] == "mae-base"
    assert labels[MAE, "random", 0] == "mae-base-random"
    assert labels[MAE, "here/w.pt", 0] == labels[MAE, "there/w.pt", 1]
    assert labels[MAE, "here/w.pt", 2] != labels[MAE, "here/w.pt", 0]
    assert labels[MAE, "here/w.pt", 2].startswith("vit_base_patch16_224.mae with w.pt #")
    assert rows.filter(pl.col("label") == "dinov2-small").height == 2


def test_from_setting_to_setting_an_encoder_is_its_family_while_that_is_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for patch, names in ((16, ("dinov2-base", "mae-base", "mae-large")), (8, ("dinov2-large", "mae-large"))):
        for name in names:
            add_run(store, card_named(name).reference, weights="pretrained", patch_size=patch)
    rows = across_settings(results_of(store).rows, ["patch_size"])
    across = {(row["patch_size"], row["label"]): row["across"] for row in rows.iter_rows(named=True)}
    assert across == {
        (16, "dinov2-base"): "DINOv2", (8, "dinov2-large"): "DINOv2",
        (16, "mae-base"): "mae-base", (16, "mae-large"): "mae-large", (8, "mae-large"): "mae-large",
    }  # fmt: skip


@pytest.mark.parametrize(
    "card",
    [
        {
            "name": "renamed",
            "family": "Ours",
            "licence": "mit",
            "saw": [{"dataset": "ade20k", "how": "", "source": ""}],
        },
        {"name": 3, "family": None, "licence": ["x"], "parameters_m": "many", "year": 1.5, "unheard": "of"},
    ],
)
def test_the_card_in_a_record_is_read_as_data(tmp_path: Path, card: dict[str, Any]) -> None:
    store = Store(tmp_path)
    add_run(store, "a", card=json.loads(json.dumps(card)))
    row = results_of(store).rows.row(0, named=True)
    if card["name"] == "renamed":
        assert (row["label"], row["family"], row["licence"], row["card_saw"]) == ("renamed", "Ours", "mit", "ade20k")
    else:
        assert (row["label"], row["licence"], row["card_year"]) == ("small:a with random weights", "x", None)


def test_every_field_of_a_spec_is_protocol_unless_it_is_the_encoder_or_the_seed() -> None:
    named = {"dataset", "eval_dataset"}  # by their digests
    assert RunSpec.model_fields.keys() - set(PROTOCOL) == {"encoder", "weights", "seed"} | named
    assert {"train_digest", "eval_digest", "scored_classes", "score_precision"} <= set(PROTOCOL)
