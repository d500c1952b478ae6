"""What several questions of one store share is what each finds by itself, and is read once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic_store import add_run

from segrank.ranking.agree import agree, as_data
from segrank.ranking.leaderboard import Options
from segrank.ranking.rank_results import rank_results
from segrank.ranking.results import Results
from segrank.ranking.table import results_of
from segrank.read_once import ReadOnce
from segrank.record import Record
from segrank.store import Store

OPTIONS = Options(resamples=200)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    store = Store(tmp_path)
    for place, encoder in enumerate(("a", "b", "c", "d")):
        for seed in (0, 1):
            add_run(store, encoder, 0.6 + 0.02 * place, seed=seed)
            add_run(store, encoder, 0.5 + 0.03 * place, seed=seed, freeze=True)
    return results_of(store)


def test_estimates_that_are_kept_change_no_number(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = as_data(agree(results, options=OPTIONS)), rank_results(results, where=["freeze=true"], options=OPTIONS)
    known = replace(results, known={})
    assert as_data(agree(known, options=OPTIONS)) == alone[0]
    read: list[str] = []
    monkeypatch.setattr(Store, "counts", lambda store, evaluation: read.append(evaluation.key))
    assert as_data(agree(known, options=OPTIONS)) == alone[0]
    board = rank_results(known, where=["freeze=true"], options=OPTIONS).boards[0]
    assert board.entries == alone[1].boards[0].entries
    assert read == []


def test_other_options_are_estimated_anew(results: Results) -> None:
    known = replace(results, known={})
    few = rank_results(known, where=["freeze=true"], options=replace(OPTIONS, resamples=100))
    assert few != rank_results(known, where=["freeze=true"], options=OPTIONS)


def test_a_record_is_read_once(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ReadOnce(Store(results.source))
    key, *_ = store.run_keys()
    first = store.record(key)
    assert isinstance(first, Record)
    monkeypatch.setattr(Store, "published", lambda *_: None)
    assert store.record(key) is first
