"""What a leaderboard says, in words. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from segrank.ranking.leaderboard import Board, Entry, Leaderboard, Options
from segrank.ranking.phrases import sentence
from segrank.ranking.results import Metric

_MOST_NAMED = 5
OF_THESE_WEIGHTS = "With one seed each, and another may order them otherwise: "
"""What comes before an order of runs with one seed each."""
TITLES = {"miou": "mIoU"}
OVERALL = Metric("overall", "higher")
"""The scores of an overall order."""


def title(metric: Metric) -> str:
    return TITLES.get(metric.name, metric.name)


def shown(value: float, metric: Metric, digits: int = 2) -> str:
    """`48.57`: shares in percent, others in their own unit."""
    return f"{100 * value:.{digits}f}" if metric.share else f"{value:.{digits}f}"


def digits_for(values: Sequence[float], metric: Metric) -> int:
    """So many decimals that values which differ look different, if 6 are enough; 2 at least, of small ones 4."""
    different = sorted(set(values))
    small = not metric.share and max(map(abs, values), default=0) < 1
    for digits in range(4 if small else 2, 6):
        if len({shown(value, metric, digits) for value in different}) == len(different):
            return digits
    return 6


def headline(leaderboard: Leaderboard) -> str:
    """`answer` for the overall order, or for the only protocol."""
    if leaderboard.overall is not None:
        return answer(leaderboard.overall, OVERALL, "overall score")
    return answer(leaderboard.boards[0], leaderboard.metric, title(leaderboard.metric))


def answer(board: Board, metric: Metric, unit: str) -> str:
    """Who leads, and who cannot be told from them. If nothing is known of seeds, it begins with that.

    Args:
        board: ranked.
        metric: of its scores.
        unit: what its scores are called: `mIoU`.
    """
    first = [entry for entry in board.entries if entry.rank == 1]
    rest = [entry for entry in board.entries if entry.rank != 1]
    if not rest:
        return (
            f"All {len(first)} encoders have the same {unit}."
            if len(first) > 1
            else f"Only {first[0].encoder} has a score to rank by."
        )
    leaders = named(first)
    digits = digits_for([entry.score for entry in board.entries if entry.score is not None], metric)
    values = [shown(entry.score, metric, digits) for entry in (first[0], rest[0]) if entry.score is not None]
    tie = "share the first place" if len(first) > 1 else "leads"
    lead = f"{leaders} {tie} with {unit} {values[0]}, before {rest[0].encoder} with {values[1]}"
    if not board.of.covers:
        return f"{lead}. Whether that is more than noise cannot be told."
    lead = OF_THESE_WEIGHTS * ("seeds" not in board.of.covers) + lead
    alike = not_told_from_first(board)
    if alike is None:
        return f"{lead}."
    if not alike:
        return f"{lead}. {'They are' if len(first) > 1 else 'It is'} told apart from all others."
    return f"{lead}. {named(alike)} cannot be told from {'them' if len(first) > 1 else 'it'}."


def not_told_from_first(board: Board) -> list[Entry] | None:
    """Encoders behind the first that share a group with it, in their order; None if there are no groups."""
    if board.ranking.groups is None:
        return None
    first = [index for index, rank in enumerate(board.ranking.rank) if rank == 1]
    near = {index for group in board.ranking.groups for index in group if set(group) & set(first)}
    names = {board.of.encoders[index] for index in near}
    return [entry for entry in board.entries if entry.encoder in names and entry.rank != 1]


def named(entries: Sequence[Entry]) -> str:
    """`A, B and C`; many are counted."""
    names = [entry.encoder for entry in entries]
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def remarks(leaderboard: Leaderboard) -> list[str]:
    """What a reader has to know besides: what is not covered, incomplete or left out, and the method."""
    board = leaderboard.overall or leaderboard.boards[0]
    lines = [sentence(board.of.note)] if board.of.note else []
    if board.incomplete:
        lines.append(
            f"Not ranked, since incomplete: {_list([f'{e.encoder} ({e.note})' for e in board.incomplete], 4)}."
        )
        few = {len(entry.seeds) for entry in board.incomplete if entry.note.endswith("seeds")}
        if few and leaderboard.overall is None:
            lines.append("To rank over seeds that all have, choose these with --where seed=N.")
    for one in leaderboard.boards:
        where = f" under {one.name}" if one.name else ""
        lost = [f"{run.encoder} ({run.status}, run {run.run})" for run in one.unscored]
        if lost:
            lines.append(f"Without a score{where}: {_list(lost)}.")
        lines += [sentence(note) + where * bool(where) for note in one.notes]
    if leaderboard.overall is not None:
        weights = ", ".join(f"{one.name} {one.weight:.3g}" for one in leaderboard.boards)
        lines.append(
            f"Weights: {weights}. Overall score: on each, how many standard deviations of the encoders a score is "
            "above their mean; then the weighted mean."
        )
        lines += [sentence(note) for note in leaderboard.overall.notes]
    lines.append(_method(leaderboard, board))
    return [*lines, *(sentence(note) for note in leaderboard.notes)]


def _method(leaderboard: Leaderboard, board: Board) -> str:
    options, covers = leaderboard.options, board.of.covers
    if not covers:
        return "Ranks are those of the scores, without intervals."
    if len(board.entries) == 1:
        return f"Interval: {options.level:.0%}, over {_samples(board, options)}."
    of_weights = "" if "seeds" in covers else ", and groups and P(best) are of these weights, not of their encoders"
    told = "share a letter cannot be told apart" if board.ranking.letters else "cannot be told apart are not shown"
    return (
        f"Intervals: {options.level:.0%}, over {_samples(board, options)}. Ranks and groups: paired tests, corrected "
        f"for their number; encoders that {told}{of_weights}."
    )


def _samples(board: Board, options: Options) -> str:
    """`500 images (10,000 paired resamples) and 3 seeds`."""
    covers = board.of.covers
    over = []
    if "images" in covers and board.of.image_noise is not None:
        over.append(f"{len(board.of.image_noise.names):,} images ({options.resamples:,} paired resamples)")
    if "seeds" in covers:
        counts = sorted({int(count) for count in board.of.seeds})
        over.append(f"{counts[0] if len(counts) == 1 else f'{counts[0]} to {counts[-1]}'} seeds")
    return " and ".join(over)


def _list(texts: Sequence[str], most: int = 12) -> str:
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def chance(value: float | None) -> str:
    """Never 0 or 1: it comes from draws."""
    if value is None:
        return ""
    return "<0.01" if value < 0.005 else ">0.99" if value > 0.995 else f"{value:.2f}"
