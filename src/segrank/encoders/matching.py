"""Put a file's weights into a model: all of them, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from segrank.errors import WeightsError
from segrank.record import WeightsReport

Convert = Callable[[dict[str, Tensor], nn.Module], dict[str, Tensor]]
"""(tensors of a file, model) -> tensors under the model's names, resampled to its shapes where need be."""

ENCODER_PARTS = frozenset(
    {"patch_embed", "pos_embed", "cls_token", "reg_token", "dist_token"}
    | {"norm_pre", "blocks", "norm", "rope", "rel_pos_bias"}
)
"""First components of the names of a vision transformer's own parameters in timm."""

OUTER = ("encoder.", "backbone.", "core.")
"""Names of the attribute that holds the encoder in programs that put a head beside it, segrank among
them (`core` is what it wraps); taken off the front of a file's names in this order, unless the model's own
begin so."""

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load_weights(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    file: str,
    model_name: str,
    source: str,
    sha256: str,
    convert: Convert | None = None,
    behind: Collection[str] = (),
) -> WeightsReport:
    """Load a file's tensors into a model, after `convert`.

    Nothing half-loaded is ever scored. It is refused when the file
    - lacks any parameter or buffer of the model (the model has been freed of its head before, so that all
      it has left takes part in the features);
    - has one in another shape, or as integers where the model has floats;
    - has encoder parts that the model lacks, such as more blocks, registers or a final norm (a part is
      told by the first component of its name: one of the model's own, or of `ENCODER_PARTS`), apart from
      those in `behind`, which have been cut off the model because they take no part in its features;
    - makes a parameter NaN or infinite.
    What else it has (classifier, pooling head, pretraining decoder, text tower) is left out and listed as
    unexpected.

    Raises:
        WeightsError: as above, with the number of names that fit. The model may then be half-loaded: drop it.
    """
    own = model.state_dict()
    for prefix in OUTER:
        shorter = {name.removeprefix(prefix): value for name, value in tensors.items()}
        if len(shorter) == len(tensors) and not any(name.startswith(prefix) for name in own):
            tensors = shorter
    try:
        converted = dict(tensors) if convert is None else convert(dict(tensors), model)
    except Exception as error:  # a filter made for one family meets the file of another
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise WeightsError(
            f"{file} is not weights of {model_name}: {reason}",
            wanted=f"the weights of a {model_name}",
            fix="check that the encoder and the file belong together",
        ) from error
    missing = [name for name in own if name not in converted]
    unexpected = sorted(name for name in converted if name not in own)
    shapes = [n for n in own if n in converted and converted[n].shape != own[n].shape]
    types = [n for n in own if n in converted and _misfit(converted[n], own[n])]
    parts = {name.partition(".")[0] for name in own} | ENCODER_PARTS
    foreign = [name for name in unexpected if name.partition(".")[0] in parts and name not in behind]
    problems = [
        *_listed("missing", missing),
        *_listed(
            "of another shape",
            [f"{n} {tuple(converted[n].shape)}, not {tuple(own[n].shape)}" for n in shapes],
        ),
        *_listed("of another type", [f"{n} {converted[n].dtype}, not {own[n].dtype}" for n in types]),
        *_listed("without a place in the model", foreign),
    ]
    if problems:
        fitting = len(own) - len(missing) - len({*shapes, *types})
        raise WeightsError(
            f"{file} is not weights of {model_name}: {fitting} of {len(own)} names fit; " + "; ".join(problems),
            wanted="every parameter of the encoder, and no encoder part beside them",
            fix="check that the encoder, its options and the file belong together",
        )
    model.load_state_dict({name: converted[name] for name in own}, strict=True)
    broken = [name for name, value in model.state_dict().items() if not _finite(value)]
    if broken:
        raise WeightsError(
            f"{file} holds NaN or infinite weights; {_listed('not finite', broken)[0]}",
            wanted="finite numbers",
            fix="get the file again, or another checkpoint of that training",
        )
    from_file = {value.untyped_storage().data_ptr() for value in tensors.values()}
    return WeightsReport(
        source=source,
        sha256=sha256,
        loaded=len(own),
        resampled=tuple(n for n in own if _positional(n) and _storage(converted[n]) not in from_file),
        unexpected=tuple(unexpected),
    )


def _misfit(value: Tensor, own: Tensor) -> bool:
    return value.dtype not in _FLOATS if own.is_floating_point() else value.dtype != own.dtype


def _finite(value: Tensor) -> bool:
    # one pass, and no copies, which `isfinite` makes of all; both ends are NaN if any value is
    if value.is_complex():
        value = torch.view_as_real(value)
    return value.numel() == 0 or all(bool(torch.isfinite(end)) for end in value.aminmax())


def _positional(name: str) -> bool:
    """Whether a filter may resize this one: position tables and patch weights."""
    tables = ("relative_position_bias_table", "rel_pos_h", "rel_pos_w")
    return name in ("pos_embed", "patch_embed.proj.weight") or name.endswith(tables)


def _storage(value: Tensor) -> int:
    # a resized tensor has memory of its own; one that is merely renamed, cut or reshaped shares the file's
    return value.untyped_storage().data_ptr()


def _listed(what: str, names: list[str]) -> list[str]:
    """`["missing: a, b, c and 4 more"]`, or nothing."""
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"{what}: {', '.join(name[:120] for name in islice(names, 3))}{more}"]
