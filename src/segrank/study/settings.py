"""Settings: what a study varies, each a function from a spec to a spec. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segrank.cards import CARDS, card_of
from segrank.errors import SpecError
from segrank.files import nearest
from segrank.spec import RunSpec

Setting = Callable[[RunSpec], RunSpec | None]
"""None: this encoder has no such variant, so the cell stays empty."""


def changes(**fields: Any) -> Setting:
    """The setting that gives some fields other values."""
    return lambda spec: spec.replace(**fields)


def large(spec: RunSpec) -> RunSpec | None:
    """The large encoder of the same family, by the catalogue: a family has one of an architecture at most."""
    card = card_of(spec.encoder)
    by_name = spec.weights in ("pretrained", "random") or Path(spec.weights).is_dir()
    if card is None or not by_name:  # a file holds one encoder
        return None
    larger = [
        other
        for other in CARDS.values()
        if (other.family, other.plain, other.size) == (card.family, card.plain, "large")
    ]
    return spec.replace(encoder=larger[0].reference) if len(larger) == 1 else None


SETTINGS: dict[str, Setting] = {
    "base": changes(),
    "freeze": changes(freeze=True),
    "mask2former": changes(decoder="mask2former"),
    "large": large,
    "patch8": changes(patch_size=8),
    "voc": changes(dataset="voc2012", steps=20_000),
    "cityscapes": changes(dataset="cityscapes", crop=(1024, 1024), steps=20_000),
    "gta5-to-cityscapes": changes(dataset="gta5", eval_dataset="cityscapes", crop=(1024, 1024), steps=20_000),
    "eomt": changes(decoder="eomt"),
}
"""The paper's eight by their names there (arXiv 2404.12172; crops and steps from its public set-up), and what came
after it."""

NUMBERED: dict[str, Callable[[int], Setting]] = {
    "last": lambda number: changes(trained_blocks=number),
    "lora": lambda number: changes(lora_rank=number),
    "fraction": lambda number: changes(train_fraction=number / 100),
    "per-class": lambda number: changes(images_per_class=number),
    "crop": lambda number: changes(crop=number),
    "patch": lambda number: changes(patch_size=number),
}
"""Settings whose names end in a number: `last4` trains the last 4 blocks, `lora16` adapters of rank 16, `fraction10`
on 10 % of the images, `per-class1` on one image per class; `crop224` and `patch14` are in pixels."""


def setting_named(name: str, own: dict[str, Setting] | None = None) -> Setting:
    """A setting by its name; `freeze+patch8` is both, one after the other.

    Args:
        name: of one of `SETTINGS`, `NUMBERED` or `own`, or several joined by `+`.
        own: settings that a study defines; they go before those of the same name.

    Raises:
        SpecError: there is none of that name, with the nearest.
    """
    parts = [_one_named(part, own or {}) for part in name.split("+")]

    def apply(spec: RunSpec) -> RunSpec | None:
        result: RunSpec | None = spec
        for setting in parts:
            result = setting(result) if result is not None else None
        return result

    return apply


def is_setting(name: str) -> bool:
    """Whether segrank has a setting of this name."""
    return name in SETTINGS or _numbered(name) is not None


def _one_named(name: str, own: dict[str, Setting]) -> Setting:
    setting = own.get(name) or SETTINGS.get(name) or _numbered(name)
    if setting is None:
        known = [*SETTINGS, *own]
        numbered = ", ".join(f"{beginning}NUMBER" for beginning in NUMBERED)
        raise SpecError(
            f'there is no setting "{name[:80]}"',
            wanted=f"one of {', '.join(known)}, {numbered}, or several joined by +",
            fix=nearest(name, [*known, *(f"{beginning}16" for beginning in NUMBERED)]),
        )
    return setting


def _numbered(name: str) -> Setting | None:
    match = re.fullmatch(r"([a-z-]+)(\d{1,9})", name)
    return NUMBERED[match[1]](int(match[2])) if match and match[1] in NUMBERED else None
