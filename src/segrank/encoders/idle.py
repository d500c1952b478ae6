"""Parameters that take no part in an encoder's features."""

from __future__ import annotations

from torch import Tensor, nn


def idle_parameters(model: nn.Module, features: Tensor) -> list[str]:
    """Names of the trainable parameters that these features do not depend on.

    They would make distributed training wait for gradients that never come. Costs a backward pass: on
    the meta device it costs nothing, and tells just as well.
    """
    model.zero_grad(set_to_none=True)
    features.sum().backward()  # type: ignore[no-untyped-call]
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    model.zero_grad(set_to_none=True)
    return names


def cut_idle(model: nn.Module, idle: list[str]) -> list[str]:
    """Take idle parameters out of a model: a module that has no others becomes an identity, a parameter none.

    Args:
        model: is changed.
        idle: names of its parameters.

    Returns:
        the same names, to cut another model of this kind alike.
    """
    names = set(idle)
    for path, module in list(model.named_modules()):  # from the outside in: the largest module goes as a whole
        own = [f"{path}.{name}" for name, _ in module.named_parameters()] if path else []
        if own and names.issuperset(own):
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, nn.Identity())
            names -= set(own)
    for name in names:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, None)
    return idle
