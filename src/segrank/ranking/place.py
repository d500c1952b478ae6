"""Where a new encoder lands among known ones, from a few runs under protocols that they were run under. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from scipy import stats

from segrank.errors import RankingError
from segrank.ranking.comparable import Block, comparable
from segrank.ranking.difference import difference
from segrank.ranking.estimate_block import BlockEstimate, estimate_block
from segrank.ranking.intervals import Estimates, Source
from segrank.ranking.leaderboard import Options, Scored
from segrank.ranking.named import encoder_named
from segrank.ranking.overall import overall, part_of
from segrank.ranking.place_refusal import no_shared_protocol, value_of
from segrank.ranking.ranks import holm, merit, rank
from segrank.ranking.refusal import leading
from segrank.ranking.results import Metric, Results
from segrank.ranking.where import cut

TOGETHER = "all together"
Verdict = Literal["better", "worse", "not separable", "unknown"]


@dataclass(frozen=True)
class Rival:
    """A known encoder beside the new one. `difference` = score of the new one - its score."""

    encoder: str
    score: float
    rank: int
    """Among all by their scores; equal scores share a rank."""
    runs: tuple[Scored, ...]
    difference: float
    interval: tuple[float, float] | None
    """Of this difference by itself."""
    better: float | None
    """Probability that the new one is truly better than this one, of this pair by itself."""
    p_holm: float | None
    """Of no difference, corrected for looking at all known encoders."""
    verdict: Verdict
    """Of the new one, by the corrected p-value; unknown if there are no intervals."""


@dataclass(frozen=True)
class Placed:
    """The place of the new encoder under one protocol, or over several together."""

    name: str
    protocol: Mapping[str, str]
    score: float
    """Mean over its seeds; over several protocols, in standard deviations of the encoders."""
    runs: tuple[Scored, ...]
    rank: int
    """By its score, 1 + the number of better ones."""
    rank_interval: tuple[int, int] | None
    best: float | None
    """Probability to be the best one of all."""
    rivals: tuple[Rival, ...]
    """From best to worst score."""
    covers: tuple[Source, ...]
    not_covered: str
    """What intervals leave out, in words."""
    left_out: tuple[str, ...]
    """Known encoders with fewer seeds than most: name and why."""

    def named(self, verdict: Verdict) -> list[str]:
        """Known encoders of that verdict, from best to worst."""
        return [rival.encoder for rival in self.rivals if rival.verdict == verdict]


@dataclass(frozen=True)
class Placement:
    """What `place` found."""

    source: str
    encoder: str
    metric: Metric
    options: Options
    parts: tuple[Placed, ...]
    """One for each protocol that it shares with known encoders."""
    together: Placed | None
    """Over all parts, of the encoders that all have; none of one part, or if they share none."""
    notes: tuple[str, ...]


def place(
    results: Results,
    encoder: str,
    *,
    metric: str = "",
    where: Sequence[str] = (),
    options: Options | None = None,
) -> Placement:
    """Place an encoder among the others, under each protocol in which it has runs.

    It may have fewer seeds than they have: what another seed would change is then learnt from them.

    Args:
        results: rows, from `results_of` or `read_results_file`.
        encoder: the new one, see `encoder_named`.
        metric: to rank by.
        where: conditions on the rows.
        options: how uncertainty is estimated.

    Raises:
        RankingError: there is no such encoder, it has no score, or no other one was run under a protocol of its own:
            the fields in which the nearest ones differ are named.
    """
    options = options or Options()
    by = results.metric(metric)
    new = encoder_named(encoder, results.rows["label"].unique().sort().to_list())
    blocks, left_out = comparable(results, by, where=where, every=True)
    mine = [block for block in blocks if new in block.rows["label"]]
    if not mine:
        status = results.rows.filter(pl.col("label") == new)["status"].unique().sort().to_list()
        raise RankingError(f"{new} has no score to rank by (its runs: {', '.join(status)})", wanted=by.name)
    shared = [block for block in mine if block.rows["label"].n_unique() > 1]
    if not shared:
        raise no_shared_protocol(results, new, mine, [block for block in blocks if block not in mine])
    notes = [note for note in (*results.notes, left_out) if note]
    if by.guessed:
        notes.insert(0, f"{by.direction} {by.name} is taken to be better, by its name")
    if alone := len(mine) - len(shared):
        notes.append(f"{alone} protocol{'s' * (alone > 1)} of {new} that no other encoder was run under: left out")
    draw_seeds: dict[tuple[str, ...], int] = {}
    found = [
        (name, block, estimate_block(results, block, by, options, draw_seeds, exempt=(new,)))
        for name, block in zip(_names(results, shared), shared, strict=True)
    ]
    if lost := [name or new for name, _, one in found if new not in one.cell.encoders]:
        raise RankingError(f"the counts of {new} are damaged ({', '.join(lost)})", fix="evaluate its runs again")
    parts = [
        _placed(name, block.protocol, one.of, new, _runs(one, by), _short(one), options) for name, block, one in found
    ]
    together = _together([one for _, _, one in found], parts, new, options)
    return Placement(results.source, new, by, options, tuple(parts), together, tuple(notes))


def _placed(
    name: str,
    protocol: Mapping[str, str],
    of: Estimates,
    new: str,
    runs: Mapping[str, tuple[Scored, ...]],
    left_out: tuple[str, ...],
    options: Options,
) -> Placed:
    at = of.encoders.index(new)
    others = [index for index in range(len(of.encoders)) if index != at]
    apart = [difference(of, at, other, level=options.level) for other in others]
    p_values = [one.p_value for one in apart if one.p_value is not None]
    corrected = holm(np.array(p_values)).tolist() if p_values else [None] * len(others)
    ranks = stats.rankdata(-merit(of), method="min").astype(int).tolist()
    rivals = [
        Rival(
            encoder=of.encoders[other],
            score=float(of.value[other]),
            rank=ranks[other],
            runs=runs[of.encoders[other]],
            difference=one.value,
            interval=(one.interval.low, one.interval.high) if one.interval else None,
            better=one.better,
            p_holm=p,
            verdict=_verdict(one.better, p, options.level),
        )
        for other, one, p in zip(others, apart, corrected, strict=True)
    ]
    rivals.sort(key=lambda rival: rival.rank)
    worse_than = sum(rival.verdict == "worse" for rival in rivals)
    better_than = sum(rival.verdict == "better" for rival in rivals)
    best = rank(of, level=options.level, draws=options.resamples, seed=options.seed).best
    return Placed(
        name=name,
        protocol=protocol,
        score=float(of.value[at]),
        runs=runs[new],
        rank=ranks[at],
        # as `rank` has it: Holm over the encoder's own pairs
        rank_interval=(1 + worse_than, len(of.encoders) - better_than) if of.covers and rivals else None,
        best=best[at] if best else None,
        rivals=tuple(rivals),
        covers=of.covers,
        not_covered=of.note,
        left_out=left_out,
    )


def _verdict(better: float | None, p: float | None, level: float) -> Verdict:
    if better is None or p is None:
        return "unknown"
    if p > 1 - level:
        return "not separable"
    return "better" if better > 0.5 else "worse"


def _runs(one: BlockEstimate, metric: Metric) -> dict[str, tuple[Scored, ...]]:
    rows = one.complete_rows.sort("label", "seed").select("label", "run", "evaluation", "seed", metric.name)
    found: dict[str, list[Scored]] = {}
    for label, *run in rows.iter_rows():
        found.setdefault(label, []).append(Scored(*run))
    return {label: tuple(runs) for label, runs in found.items()}


def _short(one: BlockEstimate) -> tuple[str, ...]:
    return tuple(
        f"{label} ({count} of {one.usual} seeds)"
        for label, count in one.seeds.items()
        if label not in one.cell.encoders
    )


def _together(found: Sequence[BlockEstimate], parts: Sequence[Placed], new: str, options: Options) -> Placed | None:
    shared = [name for name in found[0].cell.encoders if all(name in one.cell.encoders for one in found)]
    if len(found) < 2 or len(shared) < 2:
        return None
    of = overall([part_of(one.cell, one.of, shared, 1 / len(found)) for one in found])
    runs: dict[str, tuple[Scored, ...]] = {}
    for part in parts:
        for label, scored in ((new, part.runs), *((rival.encoder, rival.runs) for rival in part.rivals)):
            runs[label] = tuple(dict.fromkeys((*runs.get(label, ()), *scored)))
    everyone = {name for one in found for name in one.cell.encoders}
    left_out = tuple(f"{name} (not under each protocol)" for name in sorted(everyone - set(shared)))
    agreed = {name: value for name, value in parts[0].protocol.items() if all(p.protocol[name] == value for p in parts)}
    return _placed(TOGETHER, agreed, of, new, runs, left_out, options)


def _names(results: Results, blocks: Sequence[Block]) -> list[str]:
    """`freeze=true, dataset=voc2012`: what tells the blocks apart; empty if there is one."""
    differing = [name for name in results.protocol if len({block.protocol[name] for block in blocks}) > 1]
    fields = leading(results, pl.concat([block.rows for block in blocks]), differing) if differing else []
    return [", ".join(f"{name}={cut(value_of(block, name))}" for name in fields) for block in blocks]
