"""Does the order change with the dataset, under shift, with a frozen encoder, smaller patches or another lr? No torch.

Each question is put to every pair of settings that differ in that and in nothing else, but for what has to be chosen
anew with it (steps and learning rate; of datasets the crop too).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from segrank.ranking.convergence import Gain, gains_by_encoder, points
from segrank.ranking.finding import Finding, Verdict, listed
from segrank.ranking.leaderboard import Options
from segrank.ranking.setting_pairs import Change, SettingPair, change, judged, setting_pairs
from segrank.ranking.settings import Setting

_RECIPE = frozenset({"steps", "lr", "encoder_lr_multiplier", "batch_size", "weight_decay", "poly_power"})
_SHIFT = frozenset({"eval_dataset", "eval_digest", "eval_split", "split", "corruption", "severity"})
_DATA = frozenset({"dataset", "train_digest", "train_split", "crop"}) | _RECIPE | _SHIFT
UNTOLD = "how far noise explains that is not known, or noise could hide it"
Values = Mapping[str, str]


def order_diagnostics(settings: Sequence[Setting], gains: Mapping[str, Gain], options: Options) -> list[Finding]:
    """Of each question one finding at most, and none where no two settings differ so.

    Args:
        settings: of one metric.
        gains: see `last_quarter`.
        options: how uncertainty is estimated.
    """
    found = [
        _orders(
            "rankings move across datasets",
            setting_pairs(settings, _other_data, options),
            options,
            "which encoder is better depends on the dataset: no one of them stands for the others",
            "rank on the dataset that matters, or over several (segrank rank --across dataset)",
        ),
        _orders(
            "rankings move under shift",
            setting_pairs(settings, _shifted, options),
            options,
            "the order on images like those trained on does not hold on others",
            "rank on such images as are to be met: --where with their split, dataset or corruption",
        ),
        _probing(setting_pairs(settings, _frozen, options), gains, options),
        _patches(setting_pairs(settings, _smaller_patches, options), options),
        _orders(
            "the order depends on the learning rate",
            setting_pairs(settings, _other_lr, options),
            options,
            "with one learning rate for all, the ranking is partly one of how well it suits each encoder",
            "choose the learning rate for each encoder, on other data than it is scored on",
        ),
    ]
    return [finding for finding in found if finding]


def _other_data(x: Values, y: Values, differing: set[str]) -> bool:
    return bool(differing & {"dataset", "train_digest"}) and differing <= _DATA and not _same_target(x, y)


def _shifted(x: Values, y: Values, differing: set[str]) -> bool:
    """Spoilt images against those as they are, another split or dataset to score on, or another one to train on."""
    if differing & {"corruption", "severity"}:
        return differing <= {"corruption", "severity"} and x.get("corruption", "none") == "none"
    return differing <= _SHIFT or (
        bool(differing & {"dataset", "train_digest"}) and differing <= _DATA and _same_target(x, y)
    )


def _same_target(x: Values, y: Values) -> bool:
    return any(name in x and x[name] == y[name] for name in ("eval_dataset", "eval_digest"))


def _frozen(x: Values, y: Values, differing: set[str]) -> bool:
    return differing <= {"freeze"} | _RECIPE and y.get("freeze", "").lower() == "true" != x["freeze"].lower()


def _smaller_patches(x: Values, y: Values, differing: set[str]) -> bool:
    if "patch_size" not in differing or not differing <= {"patch_size"} | _RECIPE:
        return False
    sizes = x["patch_size"], y["patch_size"]
    return all(size.isdecimal() for size in sizes) and int(sizes[1]) < int(sizes[0])


def _other_lr(x: Values, y: Values, differing: set[str]) -> bool:
    return differing <= {"lr", "encoder_lr_multiplier"}


def _orders(name: str, pairs: Sequence[SettingPair], options: Options, means: str, do: str) -> Finding | None:
    if not pairs:
        return None
    verdict, text = judged(pairs, options.level)
    if verdict == "not seen":
        means, do = "noise alone explains that the orders differ; that they are the same is not shown", ""
    elif verdict == "cannot be told":
        means, do = UNTOLD, "more encoders, seeds or images would tell"
    return Finding(name, verdict, text, means + _of_these_weights(pairs) * (verdict == "seen"), do, _runs(pairs))


def _probing(pairs: Sequence[SettingPair], gains: Mapping[str, Gain], options: Options) -> Finding | None:
    if not pairs:
        return None
    order, text = judged(pairs, options.level)
    falls = [(pair, change(pair, options.level), float(np.std(pair.x.merit, ddof=1))) for pair in pairs]
    seen = [
        f"{pair.name}: {_said(fall, pair)}; the standard deviation of fine-tuned encoders is {_size(spread, pair)}"
        for pair, fall, spread in falls
    ]
    far = any(fall.interval and fall.interval[1] < 0 and -fall.mean > spread for _, fall, spread in falls)
    late = list(dict.fromkeys(said for pair in pairs if (said := _late(pair.y, gains))))
    verdict: Verdict = "seen" if far or order == "seen" else order
    means = {
        "seen": "; ".join(
            ["frozen encoders lose more than what parts them when fine-tuned"] * far
            + ["linear probing orders them otherwise than fine-tuning does"] * (order == "seen")
        ),
        "cannot be told": UNTOLD,
        "not seen": "the order is kept as far as noise lets one see, and the fall is less than what parts encoders",
    }[verdict]
    do = {
        "seen": "do not take linear probing for fine-tuning",
        "cannot be told": "more encoders, seeds or images would tell",
    }
    if late and verdict == "seen":
        means += "; or the heads had not converged: they still gained at the end"
        do["seen"] = "train the heads for longer before this is believed"
    if order == "seen":
        means += _of_these_weights(pairs)
    return Finding(
        "linear probing falls far or reorders",
        verdict,
        "; ".join([listed(seen, 4, "; "), text, *([listed(late, 4, "; ")] * bool(late))]),
        means,
        do.get(verdict, ""),
        _runs(pairs),
    )


def _late(setting: Setting, gains: Mapping[str, Gain]) -> str:
    """Heads that gained more in the last quarter than what parts neighbours in the order."""
    mean = gains_by_encoder(setting, gains) if gains else {}
    if len(mean) < 2:
        return ""
    gap = float(np.median(np.diff(np.sort(setting.of.value))))
    late = {encoder: gain for encoder, gain in mean.items() if gain > gap}
    if not late:
        return ""
    most = max(late, key=lambda encoder: late[encoder])
    return (
        f"under {setting.name} {len(late)} of {len(mean)} encoders gained more in the last quarter than the "
        f"{100 * gap:.2f} that part neighbours (median), {most} {points(late[most])}"
    )


def _patches(pairs: Sequence[SettingPair], options: Options) -> Finding | None:
    if not pairs:
        return None
    _, text = judged(pairs, options.level)
    gains = [change(pair, options.level) for pair in pairs]
    seen = [f"{pair.name}: {_said(gain, pair)}{_cost(pair)}" for pair, gain in zip(pairs, gains, strict=True)]
    ends = [gain.interval for gain in gains]
    verdict: Verdict = "not seen"
    means, do = "smaller patches gain, for what they cost", ""
    if any(end and end[1] <= 0 for end in ends):
        verdict, means, do = "seen", "smaller patches lose, for what they cost", "keep the larger patches"
    elif any(end is None or end[0] <= 0 for end in ends):
        verdict, means = "cannot be told", "that smaller patches gain anything is not shown"
        do = "more encoders would tell; until then the larger patches are the cheaper choice"
    return Finding("smaller patches do not pay", verdict, f"{listed(seen, 4, '; ')}; {text}", means, do, _runs(pairs))


def _of_these_weights(pairs: Sequence[SettingPair]) -> str:
    one_seed = any(setting.of.covers == ("images",) for pair in pairs for setting in (pair.x, pair.y))
    return "; of these weights, as with one seed training again is not covered" * one_seed


def _said(of: Change, pair: SettingPair) -> str:
    """`-6.10 on average (-9.00 to -3.20), from -14.00 (mae) to -2.30 (dinov2)`; what is above 0 is better."""
    interval = f" ({_size(of.interval[0], pair, '+')} to {_size(of.interval[1], pair, '+')})" if of.interval else ""
    turned = "" if pair.x.of.higher_is_better else f" (less {pair.x.metric.name} is +)"
    ends = f"from {_size(of.least[1], pair, '+')} ({of.least[0]}) to {_size(of.most[1], pair, '+')} ({of.most[0]})"
    return f"{_size(of.mean, pair, '+')}{turned} on average{interval}, {ends}"


def _size(value: float, pair: SettingPair, sign: str = "") -> str:
    metric = pair.x.metric
    small = not metric.share and np.abs(pair.x.of.value).max() < 1
    return format(100 * value if metric.share else value, f"{sign}.{4 if small else 2}f")


def _cost(pair: SettingPair) -> str:
    """How many times the training that takes, over the encoders that both have."""
    hours = []
    for setting in (pair.x, pair.y):
        rows = setting.rows.filter(setting.rows["label"].is_in(list(pair.found.encoders)))
        mean = rows["train_hours"].drop_nulls().mean()
        hours.append(mean if isinstance(mean, float) else 0.0)
    return f", for {hours[1] / hours[0]:.1f} times the training time" if min(hours) > 0 else ""


def _runs(pairs: Sequence[SettingPair]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(run for pair in pairs for run in pair.runs))
