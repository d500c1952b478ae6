"""Records of an older segrank are read, those of a newer one are refused with what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from segrank.counts import confusion_from_table, scores
from segrank.errors import StoreError
from segrank.ranking.table import results_of
from segrank.record import RECORD_SCHEMA
from segrank.spec import RunSpec, key_of
from segrank.spec import identity as identity_of
from segrank.store import Store

SCHEMA_1 = Path(__file__).parent / "schema_1_store"
"""A run that the last segrank with schema 1 made, without its weights."""
KEY = "166f28cd3ecde00e"
SPEC = RunSpec(
    encoder="small:shallow", weights="random", dataset="scenes?size=16&train=4&val=3", crop=(16, 16), patch_size=8,
    batch_size=2, steps=2, lr=1e-3,
)  # fmt: skip


def test_a_run_of_schema_1_is_read_and_is_still_the_same_run() -> None:
    store = Store(SCHEMA_1)
    record = store.published(KEY)
    assert record is not None
    assert record.record_schema == RECORD_SCHEMA > 1
    assert record.spec == SPEC
    assert identity_of(SPEC, {"dataset": record.identity["dataset"]}, "fp32") == record.identity
    assert key_of(record.identity) == KEY
    for evaluation in record.evaluations:
        total = confusion_from_table(store.counts(evaluation), len(evaluation.classes))
        assert scores(total, evaluation.classes) == evaluation.scores
    [row] = results_of(store).rows.to_dicts()
    assert (row["status"], row["trained_blocks"], row["lora_rank"], row["train_fraction"]) == ("ok", "all", 0, 1.0)


def test_a_newer_record_or_evaluation_is_refused_by_what_it_takes_to_read_it(tmp_path: Path) -> None:
    for file in ("record.json", "evaluations/19fa0c34ebdfa528/scores.json"):
        folder = tmp_path / file.replace("/", "-")
        shutil.copytree(SCHEMA_1, folder)
        path = folder / "runs" / KEY / file
        newer = path.read_text().replace('"record_schema": 1', f'"record_schema": {RECORD_SCHEMA + 1}')
        path.write_text(newer.replace('"step": 2', '"step": 2, "unheard_of": true'))
        with pytest.raises(StoreError, match=f"has schema {RECORD_SCHEMA + 1}\n.*\n.*use a newer segrank") as caught:
            Store(folder).published(KEY)
        assert str(path) in str(caught.value)
