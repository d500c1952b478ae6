"""A study whose names attack whoever shows them, with predictions, two settings, two seeds and a run that failed."""

from __future__ import annotations

from pathlib import Path

from picture_store import DATASET, add_failed, add_run

from segrank.data import open_dataset
from segrank.data.palette import class_colours
from segrank.ranking.leaderboard import Options
from segrank.ranking.table import results_of
from segrank.report.build import page_of
from segrank.report.page import Page
from segrank.report.sections.images import Picture, ToShow
from segrank.report.study import Study, read_study
from segrank.store import Store

ENCODERS = {
    "small:plain": 0.1,
    'file:"><img src=x onerror=alert(1)>.py:build': 0.2,
    "file:<script>alert(1)</script>.py:build": 0.3,
    r"file:=cmd \textbf{&}%.py:build": 0.4,
}
"""With the share of mistakes under the first setting."""


def hostile_store(folder: Path) -> Store:
    store = Store(folder)
    for encoder, mistakes in ENCODERS.items():
        for seed in (0, 1):
            add_run(store, encoder, mistakes, seed=seed)
            add_run(store, encoder, 0.5 - mistakes, seed=seed, freeze=True)
    add_failed(store, "small:rope")
    return store


def hostile_study(store: Store) -> Study:
    along = results_of(store, final=False)
    return read_study(results_of(store), along=along, options=Options(resamples=200))


def hostile_page(study: Study) -> Page:
    split = open_dataset(DATASET, None).split("val")
    show = ToShow(3, lambda *asked: [Picture(split[at].image, split[at].labels) for at in asked[3]], class_colours(255))
    return page_of(study, title="</title><script>alert(1)</script>", licences={"scenes": "</td>none"}, show=show)
