"""What `segrank agree` found, in tables. No torch."""

from __future__ import annotations

from segrank.ranking.agree import Agreements, Pair, as_data, frame
from segrank.ranking.agree_words import answer, ranged, remarks, tau_text
from segrank.ranking.agreement import Ceiling
from segrank.ranking.phrases import probability
from segrank.ranking.settings import Setting
from segrank.ranking.words import shown
from segrank.report.sheets.sheet import Report, Sheet

_MOST_FLIPS = 20
_MOST_SETTINGS = 8
"""Whose ranks are shown side by side."""


def report(agreements: Agreements) -> Report:
    return Report(
        headline=answer(agreements),
        sheets=[_pairs(agreements), _moves(agreements), _flips(agreements)],
        remarks=remarks(agreements),
        frame=frame(agreements),
        data=as_data(agreements),
    )


_PAIR = (
    "x", "y", "encoders", "tau", "interval", "other encoders", "p", "weighted tau", "one order", "p(one order)",
    "ceiling x", "ceiling y", "flips", "real",
)  # fmt: skip
_SPARED = ("ceiling y", "ceiling x", "p", "weighted tau", "other encoders", "one order", "encoders")


def _pairs(agreements: Agreements) -> Sheet:
    rows = []
    for pair in agreements.pairs:
        found, count = pair.found, len(pair.found.encoders)
        rows.append(
            [
                pair.x.name,
                pair.y.name,
                str(count),
                tau_text(pair),
                ranged(found.interval),
                ranged(found.interval_encoders),
                probability(found.p_value),
                "" if found.weighted_tau is None else f"{found.weighted_tau:.2f}",
                _expected(found.if_same),
                probability(found.same_order),
                _expected(found.ceiling_x),
                _expected(found.ceiling_y),
                f"{found.flipped} of {count * (count - 1) // 2}",
                str(found.really_flipped) if _judged(pair) else "",
            ]
        )
    level = f"{agreements.options.level:.0%} interval"
    headings = [level if name == "interval" else name for name in _PAIR]
    return Sheet("", headings, rows, frozenset({"x", "y"}), _SPARED)


def _moves(agreements: Agreements) -> Sheet:
    """Ranks beside those of the first setting, among the encoders that both have."""
    first = agreements.settings[0]
    against = [pair for pair in agreements.pairs if pair.x is first][:_MOST_SETTINGS]
    rows = []
    for at in (-first.merit).argsort(kind="stable").tolist():
        encoder = first.of.encoders[at]
        better = int((first.merit > first.merit[at]).sum())
        rows.append([encoder, str(better + 1), *(_moved(pair, encoder) for pair in against)])
    headings = ["encoder", f"rank {first.name}", *(pair.y.name for pair in against)]
    return Sheet(f"Places won and lost against {first.name}", headings, rows, frozenset({"encoder"}))


def _moved(pair: Pair, encoder: str) -> str:
    if encoder not in pair.found.encoders:
        return "-"
    move = -pair.found.moves[pair.found.encoders.index(encoder)]
    return f"{move:+d}" if move else "="


def _flips(agreements: Agreements) -> Sheet:
    """Of one pair of settings all, of several the real ones."""
    alone = len(agreements.pairs) == 1
    flips = [(pair, flip) for pair in agreements.pairs for flip in pair.found.flips if alone or flip.verdict == "real"]
    rows = [
        [
            *([] if alone else [pair.x.name, pair.y.name]),
            flip.a,
            flip.b,
            _difference(flip.difference_x, pair.x),
            _difference(flip.difference_y, pair.y),
            probability(flip.p_value),
            probability(flip.probability),
            *([flip.verdict] if alone else []),
        ]
        for pair, flip in flips[:_MOST_FLIPS]
    ]
    names = [_with_direction(setting) for setting in agreements.settings] if alone else ["in x", "in y"]
    headings = [
        *([] if alone else ["x", "y"]),
        "ahead",
        "behind",
        *names,
        "p",
        "P(orders differ)",
        *(["flip"] if alone else []),
    ]
    number = agreements.pairs[0].found.flipped if alone else len(flips)
    kind = "Flips" if alone else "Real flips"
    more = f", the first {_MOST_FLIPS} of {number}" if number > _MOST_FLIPS else ""
    return Sheet(f"{kind}{more}: differences ahead - behind", headings, rows, frozenset({"x", "y", "ahead", "behind"}))


def _with_direction(setting: Setting) -> str:
    return f"{setting.name} (lower is better)" if setting.metric.direction == "lower" else setting.name


def _judged(pair: Pair) -> bool:
    return bool(pair.x.of.covers and pair.y.of.covers)


def _expected(of: Ceiling | None) -> str:
    return f"{of.expected:.2f} ({ranged(of)})" if of else ""


def _difference(value: float, setting: Setting) -> str:
    text = shown(value, setting.metric, 2 if setting.metric.share else 4)
    return text if text.startswith("-") else f"+{text}"
