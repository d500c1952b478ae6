"""What protocols are called by the values in which they differ: `cityscapes`, `freeze=true`. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SAY_WHAT_THEY_ARE = (
    "setting", "dataset", "split", "train_split", "eval_dataset", "eval_split", "corruption", "decoder",
)  # fmt: skip
"""Fields whose values need no name beside them."""


def shown(field: str, value: str) -> str:
    """`cityscapes`, but `freeze=true`."""
    return value if field in SAY_WHAT_THEY_ARE else f"{field}={value}"


def without_common_options(values: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Values by field, each without the options that all of its field have: of `scenes?size=64` and
    `scenes?size=64&look=dusk`, `scenes` and `scenes?look=dusk`."""
    short = {field: _short([of[field] for of in values]) for field in values[0]} if values else {}
    return [{field: short[field][at] for field in of} for at, of in enumerate(values)]


def _short(values: Sequence[str]) -> list[str]:
    parts = [value.partition("?") for value in values]
    names, options = [name for name, _, _ in parts], [rest.split("&") for _, _, rest in parts]
    common = set.intersection(*map(set, options))
    if len(set(values)) < 2 or len(set(names)) > 1:
        return list(values)
    own = ["&".join(one for one in of if one not in common) for of in options]
    short = [f"{name}?{rest}" if rest else name for name, rest in zip(names, own, strict=True)]
    return short if len(set(short)) == len(set(values)) else list(values)
