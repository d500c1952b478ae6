"""Leaderboard: who is in it, in which order, how sure that is, and who is not in it and why. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from segrank.ranking.intervals import Estimates
from segrank.ranking.ranks import Ranking
from segrank.ranking.resample import RESAMPLES
from segrank.ranking.results import COMMON, Metric
from segrank.ranking.standard_errors import LEVEL

COSTS = tuple(name for name, dtype in COMMON.items() if dtype == pl.Float64())


@dataclass(frozen=True)
class Options:
    """How uncertainty is estimated."""

    level: float = LEVEL
    resamples: int = RESAMPLES
    """Of the test images, and draws of the true scores for P(best)."""
    seed: int = 0
    """Of both."""
    group_images: str = ""
    """See `cell_of`."""


@dataclass(frozen=True)
class Scored:
    """One score, and where it is from."""

    run: str
    evaluation: str | None
    seed: int
    score: float


@dataclass(frozen=True)
class Entry:
    """An encoder in a leaderboard."""

    encoder: str
    score: float | None
    """Mean over seeds; in an overall order, the mean of standardised scores, or none if a dataset is missing."""
    runs: tuple[Scored, ...]
    costs: Mapping[str, float | None]
    """By `COSTS`: means over runs; of memory, the most."""
    licence: str | None
    note: str = ""
    """Why it is not ranked, or what should be known of it."""
    rank: int | None = None
    """None if it is not ranked."""
    interval: tuple[float, float] | None = None
    rank_interval: tuple[int, int] | None = None
    best: float | None = None
    """Probability to be the best one."""
    group: str = ""
    """Letters: encoders that share one cannot be told apart."""
    mean_rank: float | None = None
    """Over the datasets, in an overall order."""

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({run.seed for run in self.runs}))


@dataclass(frozen=True)
class Unscored:
    """A run that has no score here."""

    encoder: str
    run: str
    seed: int | None
    status: str


@dataclass(frozen=True, eq=False)
class Board:
    """The ranking of one protocol, or the overall order of several."""

    name: str
    """Of the block; empty if there is one."""
    protocol: Mapping[str, str]
    entries: tuple[Entry, ...]
    """From the first to the last; equal scores share a rank."""
    incomplete: tuple[Entry, ...]
    """With fewer seeds than others, or without a dataset that others have: not ranked."""
    unscored: tuple[Unscored, ...]
    of: Estimates
    """Encoders by name, not in the order of `entries`."""
    ranking: Ranking
    weight: float = 1.0
    """In the overall order."""
    unit: float | None = None
    """Standard deviation between encoders, by which scores were divided for the overall order."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """What `rank_results` found."""

    source: str
    metric: Metric
    options: Options
    boards: tuple[Board, ...]
    """One for each protocol."""
    overall: Board | None
    """Of several boards; none of one."""
    notes: tuple[str, ...]
