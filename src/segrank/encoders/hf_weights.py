"""Put weights into a model of transformers: all of them, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segrank.encoders.checkpoints import read_weights
from segrank.encoders.hf_files import HfFiles
from segrank.encoders.idle import cut_idle
from segrank.errors import WeightsError
from segrank.record import WeightsReport

_OURS = "encoder.backbone.core."
"""Before the names in a segrank run's own weights."""
_BELONG = "check that the configuration and the weights belong together"


def load_hf(kind: Any, config: Any, files: HfFiles, weights: str, cut: list[str]) -> tuple[Any, WeightsReport]:
    """The model with all its weights, by transformers' own conversion of their names.

    Args:
        kind: the model's class.
        config: what it is built from.
        files: its publisher's.
        weights: `pretrained` or a file.
        cut: names of parameters that take no part in the features: they may be missing, and are cut off.

    Raises:
        WeightsError: the file lacks a parameter, has one that has no place in the model, or is not finite.
    """
    if weights == "pretrained":
        tensors, sha256 = _read(files.weights())
        place, source = f"hf:{files.name}", f"pretrained: {files.name}"
    else:
        tensors, sha256 = read_weights(weights)
        place, source = weights, Path(weights).name
    if any(key.startswith(_OURS) for key in tensors):
        tensors = {key.removeprefix(_OURS): value for key, value in tensors.items() if key.startswith(_OURS)}
    try:
        with torch.random.fork_rng(devices=[]):  # what the file lacks is drawn at random, and refused below
            core, found = kind.from_pretrained(
                None, config=config, state_dict=tensors, dtype=torch.float32, output_loading_info=True
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{place} is not weights of hf:{files.name}: {reason}", fix=_BELONG) from error
    cut_idle(core, cut)
    own = core.state_dict()
    parts = {name.partition(".")[0] for name in own}
    prefixes = (f"{kind.base_model_prefix}.", "vision_model.")
    unexpected = sorted(found["unexpected_keys"])
    foreign = [n for n in unexpected if any(n.removeprefix(p).partition(".")[0] in parts for p in prefixes)]
    missing = sorted(set(found["missing_keys"]) & set(own))
    if missing or foreign or found["mismatched_keys"]:
        wrong = [*missing, *foreign, *map(str, found["mismatched_keys"])]
        raise WeightsError(
            f"{place} is not weights of hf:{files.name}: {len(missing)} of {len(own)} names are missing, "
            f"{len(foreign)} have no place in the model: {', '.join(wrong[:3])}",
            wanted="every parameter of the encoder, and no encoder part beside them",
            fix=_BELONG,
        )
    if broken := [name for name, value in own.items() if not bool(torch.isfinite(value).all())]:
        raise WeightsError(f"{place} holds NaN or infinite weights: {', '.join(broken[:3])}", wanted="finite numbers")
    return core, WeightsReport(source=source, sha256=sha256, loaded=len(own), unexpected=tuple(unexpected))


def _read(paths: list[Path]) -> tuple[dict[str, Tensor], str]:
    """The tensors of one file or of shards, and their sha256; of shards, that of their hexadecimal ones in order."""
    if len(paths) == 1:
        return read_weights(paths[0])
    tensors: dict[str, Tensor] = {}
    digests = []
    for path in paths:
        part, sha256 = read_weights(path)
        tensors |= part
        digests.append(sha256)
    return tensors, hashlib.sha256("".join(digests).encode()).hexdigest()
