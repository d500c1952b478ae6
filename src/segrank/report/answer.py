"""The first screen: who leads, how sure that is, under which protocol, at what cost, and what is missing. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from segrank.ranking.agree_words import answer as agree_answer
from segrank.ranking.leaderboard import Leaderboard
from segrank.ranking.phrases import counted, probability, sentence
from segrank.ranking.recommend_words import answer as recommend_answer
from segrank.ranking.results import OK
from segrank.ranking.words import headline
from segrank.report.figures.figure import Figure
from segrank.report.study import Part, Refused, Study

_TALL = 20
"""Encoders: of more, what would stand under the picture is off the first screen."""


@dataclass(frozen=True)
class Fact:
    title: str
    text: str
    href: str = ""
    """Section that it leads to."""
    link: str = ""
    runs: Sequence[str] = ()
    alarm: bool = False


@dataclass(frozen=True)
class Answer:
    headline: str
    beside: Sequence[Fact]
    """The picture."""
    below: Sequence[Fact]
    figures: Sequence[Figure]


def answer_of(study: Study, figures: Sequence[Figure]) -> Answer:
    base = study.base
    beside = [
        _sure(base.board),
        Fact("Protocol", protocol_words(base, study), "protocol", "All of it"),
        _cost(study),
        _missing(study),
        *_signs(study),
    ]
    below = _elsewhere(study)
    if len(base.board.boards[0].entries) > _TALL:
        beside, below = [*beside, *below], []
    return Answer(headline(base.board), beside, below, figures)


def _sure(leaderboard: Leaderboard) -> Fact:
    board = leaderboard.boards[0]
    first = next((entry for entry in board.entries if entry.rank == 1), None)
    if first is None or first.best is None or not board.of.covers:
        return Fact("How sure", sentence(board.of.note or "nothing is known of the noise in these scores"))
    text = f"P(best) of {first.encoder} is {probability(first.best)}"
    if first.rank_interval and first.rank_interval[0] != first.rank_interval[1]:
        text += f"; its rank may be {first.rank_interval[0]} to {first.rank_interval[1]}"
    covers = " and ".join(board.of.covers)
    note = f" {sentence(board.of.note)}" if board.of.note else ""
    return Fact("How sure", f"{text} ({leaderboard.options.level:.0%}, over {covers}).{note}", "ranking", "Intervals")


def protocol_words(part: Part, study: Study) -> str:
    """`ade20k val, 512x512 in patches of 16, linear decoder, end-to-end, 40,000 steps of 16 images; 3 seeds, ...`."""
    block, board = part.setting.block, part.board.boards[0]
    seeds = max((len(entry.seeds) for entry in board.entries), default=0)
    over = [counted(seeds, "seed")] if seeds else []
    if board.of.image_noise is not None:
        over.append(counted(len(board.of.image_noise.names), "image"))
    name = f"{part.name}: " if part.name else ""
    if study.results.store is None:
        told = ", ".join(f"{field} {value}" for field, value in block.protocol.items())
        return f"{name}{told or 'not stated in the table'}; {', '.join(over)}."
    row = block.rows.row(0, named=True)
    data = f"{row['eval_dataset']} {row['eval_split']}"
    if row["dataset"] != row["eval_dataset"]:
        data += f", trained on {row['dataset']}"
    how = "frozen encoder" if row["freeze"] else "end-to-end"
    return (
        f"{name}{data}, {row['crop']} in patches of {row['patch_size']}, {row['decoder']} decoder, {how}, "
        f"{row['steps']:,} steps of {row['batch_size']} images; {', '.join(over)}."
    )


def _cost(study: Study) -> Fact:
    rows = study.base.setting.block.rows.unique("run")
    known = rows["train_hours"].drop_nulls()
    if known.is_empty():
        return Fact("Cost", "Training time is not known.")
    everywhere = study.results.rows.unique("run")["train_hours"].drop_nulls()
    total = ""
    if len(everywhere) > len(known):
        total = f" All {len(everywhere):,} runs here took {hours(float(everywhere.sum()))}."
    devices = sorted(rows["device"].drop_nulls().unique().to_list())
    on = f" on {', '.join(devices[:3])}" if devices else ""
    return Fact(
        "Cost",
        f"{hours(float(known.sum()))} of training for {counted(len(known), 'run')}{on}: {_each(known)} each.{total}",
        "cost" if len(study.parts) > 1 else "",
        "Against agreement" if len(study.parts) > 1 else "",
    )


def _each(known: pl.Series) -> str:
    low, high = (hours(value) for value in (min(known.to_list()), max(known.to_list())))
    return low if low == high else f"{low} to {high}"


def hours(value: float) -> str:
    """`41 s`, `12 min`, `3.2 h`."""
    if value < 0.02:
        return f"{3600 * value:.2g} s"
    return f"{60 * value:.3g} min" if value < 1 else f"{value:,.1f} h" if value < 100 else f"{value:,.0f} h"


def _elsewhere(study: Study) -> list[Fact]:
    facts = []
    if not isinstance(study.agreements, Refused):
        facts.append(Fact("Other settings", agree_answer(study.agreements), "settings", "Ranks across settings"))
    if not isinstance(study.recommendation, Refused):
        facts.append(Fact("Cheaper protocol", recommend_answer(study.recommendation), "cost", "Cost and agreement"))
    return facts


def _signs(study: Study) -> list[Fact]:
    if isinstance(study.diagnosis, Refused):
        return []
    seen = [finding for finding in study.diagnosis.findings if finding.verdict == "seen"]
    if not seen:
        return []
    names = "; ".join(finding.name for finding in seen[:4])
    more = f" and {len(seen) - 4} more" if len(seen) > 4 else ""
    return [Fact("Signs against it", f"{sentence(names + more)}", "diagnostics", "What was seen", alarm=True)]


def _missing(study: Study) -> Fact:
    rows = study.results.rows.unique("run")
    lost = rows.filter(pl.col("status") != OK)
    incomplete = study.base.board.boards[0].incomplete
    texts = [f"{number} {status}" for status, number in Counter(lost["status"].to_list()).most_common()]
    texts += [f"{entry.encoder} not ranked ({entry.note})" for entry in incomplete[:4]]
    texts += [f"{len(incomplete) - 4} more not ranked"] * (len(incomplete) > 4)
    if not texts:
        return Fact("Missing or failed", f"Nothing: all {rows.height:,} runs have a score.")
    of = f"Of {rows.height:,} runs: " if lost.height else ""
    runs = lost["run"].to_list() or [run.run for entry in incomplete for run in entry.runs]
    return Fact("Missing or failed", f"{of}{', '.join(texts)}.", "runs", "Which runs", runs, alarm=True)
