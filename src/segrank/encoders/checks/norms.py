"""Final norm and prefix tokens: both are read off one forward pass."""

from __future__ import annotations

from typing import Any

from torch import nn

from segrank.encoders.checks.gradients import named
from segrank.encoders.checks.publisher import NormStatement
from segrank.encoders.checks.report import Finding
from segrank.encoders.checks.trace import Trace, holds, place_of

_TOKENS = ("cls_token", "class_token", "class_embedding", "cls_embed", "dist_token", "distillation_token")
_REGISTERS = ("reg_token", "register_token", "register_tokens", "storage_tokens", "registers")


def check_final_norm(seen: Trace, stated: NormStatement | None) -> Finding:
    """Whether the features are a norm's output, how often over, and whether they should be."""
    called = [call for call in seen.calls if call.norm]
    idle = [name for name in seen.norms if not any(call.name.partition(",")[0].startswith(name) for call in called)]
    final = next((call for call in reversed(called) if holds(call.given, seen.features)), None)
    measured = {"norms_called": len(called), "idle_norms": len(idle), "on_features": float(final is not None)}
    if final is not None:
        source = next(
            (c for c in called if c is not final and final.taken is not None and holds(c.given, final.taken)), None
        )
        measured["times"] = 2.0 if source else 1.0
        if source:
            again = "again" if source.name == final.name else f"on top of {source.name}"
            return _finding(
                "wrong",
                f"applied twice: {final.name} normalises what is normalised already, {again}",
                "forward_features usually applies the norm itself: leave the second one out",
                measured,
            )
        if stated is not None and not stated.wanted:
            return _finding(
                "unsure" if stated.reason.startswith("as timm") else "wrong",
                f"{final.name} is over the features, where the publisher's model has no final norm ({stated.reason})",
                "take the features before it, unless you put it there on purpose",
                measured,
            )
        because = f", {stated.reason}" if stated else "; it is the model's last norm"
        return _finding("ok", f"{final.name} is applied once, and its output is the features{because}", "", measured)
    if stated is not None and not stated.wanted:
        return _finding("ok", f"rightly none: {stated.reason}", "", measured)
    if idle:
        return _finding(
            "wrong",
            f"missing: the model has {named(idle)}, and never calls {'it' if len(idle) == 1 else 'them'}",
            "apply it to the tokens; timm's forward_intermediates leaves it out unless it is told norm=True",
            measured,
        )
    last = called[-1].name if called else "none at all"
    if stated is None:
        return _finding(
            "unsure",
            f"no norm is over the features (the last one called is {last}), and nobody states whether one should be",
            "compare with its publisher's code: most plain vision transformers end in a norm",
            measured,
        )
    return _finding(
        "wrong",
        f"missing: no norm is over the features (the last called is {last}), where one should be: {stated.reason}",
        "apply the model's own final norm, with its weights, to the tokens",
        measured,
    )


def check_prefix(seen: Trace, backbone: nn.Module, grid: tuple[int, int]) -> Finding:
    """Whether the features begin where the tokens in front of the patches end."""
    patches = grid[0] * grid[1]
    learned, sizes = _learned_tokens(backbone)
    counts: list[Any] = [getattr(module, "num_prefix_tokens", None) for module in backbone.modules()]
    own = [count for count in counts if isinstance(count, int)]
    expected = own[-1] if own else learned
    said = f"num_prefix_tokens is {expected}" if own else f"learned tokens: {named(sizes) or 'none'}"
    found = [(c.name, len(c.given), place_of(c.given, seen.features)) for c in seen.calls if c.given is not None]
    found = [item for item in found if item[2] is not None]
    measured: dict[str, float] = {"expected": expected}
    if own and learned > expected:
        return Finding(
            name="prefix tokens",
            status="wrong",
            evidence=f"{said}, but the model learned {learned} of its own ({named(sizes)})",
            advice="set num_prefix_tokens to the number of tokens that stand before the patches",
            measured=measured,
        )
    if not found:
        plain = not expected and not any(c.given is not None and len(c.given) > patches for c in seen.calls)
        if plain:
            return Finding(name="prefix tokens", status="ok", evidence="none: it has no tokens beside the patches")
        return Finding(
            name="prefix tokens",
            status="unsure",
            evidence=f"{said}; the features are no run of tokens of any module, so that their place cannot be seen",
            advice="see registration, which tells a shift by whole tokens as well",
            measured=measured,
        )
    name, count, start = max(found, key=lambda item: item[1])
    start = int(start or 0)
    measured |= {"seen": start, "tokens": count}
    where = f"features are tokens {start} to {start + patches - 1} of the {count} that {name or 'the model'} gives"
    if count == patches and expected:
        return Finding(
            name="prefix tokens",
            status="unsure",
            evidence=f"{said}; {where}, so that they were dropped before, unseen",
            advice="see registration, which tells a shift by whole tokens as well",
            measured=measured,
        )
    if start != expected or start + patches > count:
        return Finding(
            name="prefix tokens",
            status="wrong",
            evidence=f"{where}, but {said}",
            advice="drop exactly the tokens in front of the patches: tokens[:, num_prefix_tokens:]",
            measured=measured,
        )
    return Finding(
        name="prefix tokens",
        status="ok",
        evidence=f"{expected} dropped in front ({said}): {where}" if expected else f"none: {where}",
        measured=measured,
    )


def _learned_tokens(backbone: nn.Module) -> tuple[int, list[str]]:
    """How many tokens are parameters, told by name, and which."""
    count, names = 0, []
    for name, parameter in backbone.named_parameters():
        last = name.rpartition(".")[2]
        if last in _TOKENS or last in _REGISTERS:
            tokens = parameter.shape[-2] if parameter.ndim > 1 else 1
            count += tokens
            names.append(f"{name} ({tokens})")
    return count, names


def _finding(status: str, evidence: str, advice: str, measured: dict[str, float]) -> Finding:
    return Finding(name="final norm", status=status, evidence=evidence, advice=advice, measured=measured)  # type: ignore[arg-type]
