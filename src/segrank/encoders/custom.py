"""A user's own encoder: `file:model.py:build` or `python:package.module:build`.

The function is called as `build(crop=(height_px, width_px), patch_size=..., **options)`, the options
being those of the reference. It returns an `nn.Module` that takes float images (b 3 H W), normalised, and
returns the features as a map (b dim h w) with h = H / patch_size, or as tokens (b n dim), row by row. Its
`forward_features` is used if it has one, else its `forward`; the first `num_prefix_tokens` tokens are
dropped if it has that attribute. Its `mean` and `std` (three numbers each, for images in 0..1) normalise
the images; without them ImageNet's do.

The source can import installed packages, but not the files beside it: its digest, which is part of a run's
key, covers this one file.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from segrank.encoders.checkpoints import read_weights
from segrank.encoders.encoder import Parts, features_of, to_map
from segrank.encoders.matching import load_weights
from segrank.encoders.reference import custom_source
from segrank.errors import EncoderError
from segrank.files import digest
from segrank.record import WeightsReport
from segrank.spec import parse_reference


def build_custom(reference: str, *, crop: tuple[int, int], patch_size: int, weights: str, seed: int) -> Parts:
    """The user's module as an encoder; its dim is told by running zeros through it.

    Raises:
        EncoderError: the source cannot be imported, has no such function, or does not keep to the contract.
        WeightsError: a weights file does not fit.
    """
    model = _call(reference, crop, patch_size, seed)
    name = parse_reference(reference).name
    dim = _dim(model, name, crop, patch_size)
    report = WeightsReport(source="as built")
    if weights not in ("pretrained", "random"):
        file = Path(weights)
        tensors, sha256 = read_weights(file)
        report = load_weights(
            model, tensors, file=str(file), model_name=reference[:120], source=file.name, sha256=sha256
        )
    return Parts(model, dim, lambda: own_statistics(model, name), report)


def _call(reference: str, crop: tuple[int, int], patch_size: int, seed: int) -> nn.Module:
    """What the user's function returns.

    The source's code runs with the user's rights: it is the user's. Random numbers that it draws from
    torch come from the seed.
    """
    scheme, name, options = parse_reference(reference)
    place, _, function = name.rpartition(":")
    custom_source(reference)  # says what is missing
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            module = _import_file(reference) if scheme == "file" else importlib.import_module(place)
        except Exception as error:
            raise _failed(f"{place} cannot be imported", error) from error
        build = getattr(module, function, None)
        if not callable(build):
            raise EncoderError(f"{place} has no function {function}", wanted=f"def {function}(crop, patch_size)")
        try:
            model = build(crop=crop, patch_size=patch_size, **options)
        except Exception as error:
            raise _failed(f"{function}(crop={crop}, patch_size={patch_size}) of {place} failed", error) from error
        if not isinstance(model, nn.Module):
            raise EncoderError(f"{function} of {place} returns a {type(model).__name__}", wanted="an nn.Module")
        return model


def own_statistics(model: nn.Module, name: str) -> tuple[Sequence[float], Sequence[float]]:
    """The module's `mean` and `std`, ImageNet's if it has none.

    Raises:
        EncoderError: it has one without the other, or they are not three numbers for images in 0..1.
    """
    found = [getattr(model, attribute, None) for attribute in ("mean", "std")]
    if found == [None, None]:
        return IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    try:
        mean, std = (torch.as_tensor(values, dtype=torch.float32).flatten().tolist() for values in found)
    except (TypeError, ValueError, RuntimeError):
        mean, std = [], []
    if len(mean) != 3 or len(std) != 3 or not all(0 < value <= 1 for value in std):
        raise EncoderError(
            f"mean and std of {name} are {found[0]!r:.80} and {found[1]!r:.80}",
            wanted="three numbers each, for images in 0..1 (mean 0.5, not 127.5)",
        )
    return mean, std


def _import_file(reference: str) -> ModuleType:
    path, _ = custom_source(reference)
    # named by content: two files called model.py do not meet, and classes in it can be pickled
    name = f"segrank_encoder_{digest(path)[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python source")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _dim(model: nn.Module, name: str, crop: tuple[int, int], patch_size: int) -> int:
    # on the CPU, not on the meta device: a module may keep what it computed in a first forward
    training = model.training
    try:
        with torch.no_grad():
            features: Any = features_of(model.eval(), torch.zeros(1, 3, *crop))
    except Exception as error:
        raise _failed(f"{name} fails on images of {crop[0]}x{crop[1]}", error) from error
    model.train(training)
    return to_map(features, model, (crop[0] // patch_size, crop[1] // patch_size), name).shape[1]


def _failed(what: str, error: Exception) -> EncoderError:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    line = f" (line {frame.tb_lineno} of {frame.tb_frame.f_code.co_filename})" if frame is not None else ""
    return EncoderError(f"{what}: {type(error).__name__}: {str(error)[:300]}{line}", fix="correct it there")
