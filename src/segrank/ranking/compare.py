"""Two encoders against each other: over the same images and the same seeds, within one protocol or each of several.

No torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from segrank.errors import RankingError
from segrank.ranking.cells import MIOU, read_counts
from segrank.ranking.class_differences import ClassDifference, class_differences
from segrank.ranking.comparable import Block, comparable
from segrank.ranking.deciding_images import DecidingImages, deciding_images
from segrank.ranking.difference import Needed, difference, to_settle
from segrank.ranking.intervals import Interval, Source, score
from segrank.ranking.leaderboard import Options, Scored
from segrank.ranking.named import encoder_named
from segrank.ranking.pair_estimates import pair_estimates, peers, same_seeds
from segrank.ranking.results import Metric, Results
from segrank.ranking.where import parse_conditions, select


@dataclass(frozen=True)
class Side:
    """One of the two encoders."""

    encoder: str
    score: float
    """Mean over the seeds that both have."""
    interval: tuple[float, float] | None
    runs: tuple[Scored, ...]


@dataclass(frozen=True)
class Compared:
    """Both under one protocol. `value` = score of `a` - score of `b`, whichever direction is better."""

    name: str
    """Of the block; empty if there is one."""
    protocol: Mapping[str, str]
    a: Side
    b: Side
    value: float
    interval: tuple[float, float] | None
    better: float | None
    """Probability that a is truly better than b."""
    p_value: float | None
    """Two-sided, of no difference."""
    paired_seeds: bool
    """What a seed does to both alike drops out."""
    covers: tuple[Source, ...]
    not_covered: str
    """What the intervals leave out, in words."""
    seeds_known_from: int
    """Encoders of this protocol from which it is known what another seed changes; 0 if it is not known."""
    images: int | None
    """Or groups of them; None without counts per image."""
    classes: tuple[ClassDifference, ...]
    """In the order of the dataset; none without counts per image."""
    deciding: DecidingImages | None
    needed: Needed | None
    """What would settle it; None if it is settled, or there is no interval."""
    notes: tuple[str, ...]

    @property
    def settled(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    source: str
    metric: Metric
    options: Options
    parts: tuple[Compared, ...]
    """One for each protocol."""
    notes: tuple[str, ...]


def compare(
    results: Results,
    a: str,
    b: str,
    *,
    metric: str = "",
    where: Sequence[str] = (),
    across: Sequence[str] = (),
    options: Options | None = None,
) -> Comparison:
    """Compare two encoders within one protocol, or within each of several.

    Args:
        results: rows, from `results_of` or `read_results_file`.
        a, b: encoders, see `encoder_named`.
        metric: to compare by.
        where, across: see `comparable`. Only rows of the two encoders have to agree.
        options: how uncertainty is estimated.

    Raises:
        RankingError: there is no such encoder; their rows may not be compared, or never meet under one protocol.
    """
    options = options or Options()
    by = results.metric(metric)
    labels = results.rows["label"].unique().sort().to_list()
    a, b = encoder_named(a, labels), encoder_named(b, labels)
    if a == b:
        raise RankingError(f'"{a}" was to be compared with itself', wanted="two encoders")
    both = replace(results, rows=results.rows.filter(pl.col("label").is_in([a, b])))
    blocks, left_out = comparable(both, by, where=where, across=across)
    notes = [note for note in (*results.notes, left_out) if note]
    if by.guessed:
        notes.insert(0, f"{by.direction} {by.name} is taken to be better, by its name")
    parts = []
    everyone = select(results.rows, parse_conditions(where))
    for block in blocks:
        missing = [name for name in (a, b) if name not in block.rows["label"]]
        if missing:
            why = dict(block.without_score.select("label", "status").iter_rows())
            lost = f"{missing[0]} has no score there{f' ({why[missing[0]]})' if missing[0] in why else ''}"
            notes.append(f"not compared{f' under {block.name}' * bool(block.name)}: {lost}")
        else:
            parts.append(_compare_block(results, block, everyone, by, a, b, options))
    if not parts:
        raise RankingError(
            f"{a} and {b} have no scores under the same protocol: {'; '.join(notes)}", fix="add the missing runs"
        )
    return Comparison(results.source, by, options, tuple(parts), tuple(notes))


def _compare_block(
    results: Results, block: Block, everyone: pl.DataFrame, metric: Metric, a: str, b: str, options: Options
) -> Compared:
    rows, counts, notes = block.rows, None, []
    if results.store and metric.name == MIOU:
        counts, wrong = read_counts(results.store, rows)
        rows = rows.filter(~pl.col("run").is_in(list(wrong)))
        notes += [f"run {run} is left out: {what}" for run, what in wrong.items()]
        if lost := [name for name in (a, b) if name not in rows["label"]]:
            raise RankingError(
                f"the counts of all runs of {lost[0]} are damaged: {next(iter(wrong.values()))}",
                fix="restore them, or evaluate the runs again",
            )
    elif options.group_images:
        raise RankingError(
            f"images were to be grouped, but {metric.name} of {results.source} comes without counts per image",
            wanted=f"{MIOU} of a store",
        )
    rows, seeds_note, paired = same_seeds(rows, a, b)
    notes += [seeds_note] * bool(seeds_note)
    others = peers(everyone, results.protocol, rows, metric, paired=paired)
    cell, of = pair_estimates(rows, others, counts, metric, (a, b), options)
    apart = difference(of, 0, 1, level=options.level)
    sides = []
    for index, name in enumerate((a, b)):
        interval = score(of, index, level=options.level).interval
        runs = rows.filter(pl.col("label") == name).sort("seed").select("run", "evaluation", "seed", metric.name)
        scored = tuple(Scored(*run) for run in runs.iter_rows())
        sides.append(Side(name, float(of.value[index]), _ends(interval), scored))
    classes: tuple[ClassDifference, ...] = ()
    if cell.images is not None and len(cell.images.names) > 1:
        classes = class_differences(
            cell.images,
            paired=paired,
            with_seeds="seeds" in of.covers and any(len(of_one) > 1 for of_one in cell.seeds),
            level=options.level,
            resamples=options.resamples,
            seed=options.seed,
        )
    return Compared(
        name=block.name,
        protocol=block.protocol,
        a=sides[0],
        b=sides[1],
        value=apart.value,
        interval=_ends(apart.interval),
        better=apart.better,
        p_value=apart.p_value,
        paired_seeds=of.paired_seed_noise is not None,
        covers=of.covers,
        not_covered=of.note,
        seeds_known_from=2 + others["label"].n_unique() if "seeds" in of.covers else 0,
        images=len(cell.images.names) if cell.images is not None else None,
        classes=classes,
        deciding=deciding_images(cell.images) if cell.images is not None and len(cell.images.names) > 1 else None,
        needed=to_settle(of, 0, 1, level=options.level),
        notes=tuple(notes),
    )


def _ends(interval: Interval | None) -> tuple[float, float] | None:
    return (interval.low, interval.high) if interval else None
