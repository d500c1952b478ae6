"""A reference -> an encoder with its weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
import timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from segrank.encoders.checkpoints import read_weights
from segrank.encoders.custom import build_custom, own_statistics
from segrank.encoders.encoder import Encoder, check_crop
from segrank.encoders.hub import pretrained_file
from segrank.encoders.matching import Convert, load_weights
from segrank.encoders.small import SMALL
from segrank.encoders.vit import build_vit, checkpoint_filter, probe_vit
from segrank.errors import EncoderError
from segrank.files import nearest
from segrank.record import WeightsReport
from segrank.spec import parse_reference


def build_encoder(
    reference: str,
    *,
    crop: tuple[int, int],
    patch_size: int,
    weights: str = "pretrained",
    normalisation: str = "own",
    seed: int = 0,
) -> tuple[Encoder, WeightsReport]:
    """Build an encoder for a crop and a patch size.

    Args:
        reference: `timm:NAME?k=v`, `small:NAME`, `file:model.py:build` or `python:package.module:build`.
        crop: height and width, pixels.
        patch_size: pixels. Weights of another patch size or grid are resampled as timm does.
        weights: `pretrained` (as the publisher has them), `random`, or a file. For a user's own encoder
            the first two both mean: as its function returns it.
        normalisation: `own`, or `imagenet` for ImageNet's mean and standard deviation.
        seed: of the random weights. One seed gives the same ones wherever the final weights come from; the
            global random state is not touched.

    Returns:
        the encoder, in training mode, float32 unless it is a user's own, and what became of the file's
        weights.

    Raises:
        EncoderError: unknown, or not to be built as asked. WeightsError: its weights cannot be had or do
        not fit.
    """
    check_crop(crop, patch_size)
    scheme, name, options = parse_reference(reference)
    if normalisation not in ("own", "imagenet"):
        raise EncoderError(f'normalisation "{normalisation}"', wanted="own or imagenet")
    if scheme == "small":
        _check_small(name, reference, weights)
        scheme, name, options = parse_reference(SMALL[name])
    if scheme == "timm":
        # in order of cost: shapes, the weights' file, the model
        dim = probe_vit(name, options, crop=crop, patch_size=patch_size)
        convert = None if weights == "random" else checkpoint_filter(name)
        file, source = _timm_file(name, weights)
        model = build_vit(name, options, crop=crop, patch_size=patch_size, seed=seed)
        report = _load(model, name, file, source, convert) if file else WeightsReport(source=source)
        config = timm.data.resolve_model_data_config(model)  # type: ignore[attr-defined, no-untyped-call]
        statistics = config["mean"], config["std"]
    elif scheme in ("file", "python"):
        model, dim = build_custom(reference, crop=crop, patch_size=patch_size, seed=seed)
        if weights in ("pretrained", "random"):
            report = WeightsReport(source="as built")
        else:
            report = _load(model, reference, Path(weights), Path(weights).name, None)
        statistics = own_statistics(model, name) or (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    else:
        raise EncoderError(
            f'"{reference[:120]}" is no encoder',
            wanted="timm:NAME, small:NAME, file:model.py:build or python:package.module:build",
        )
    if normalisation == "imagenet":
        statistics = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    mean, std = statistics
    encoder = Encoder(model, dim=dim, crop=crop, patch_size=patch_size, mean=mean, std=std, name=reference[:120])
    return encoder.train(), report


def _check_small(name: str, reference: str, weights: str) -> None:
    if name not in SMALL or "?" in reference:
        raise EncoderError(
            f'"{reference[:120]}" is no small encoder',
            wanted=f"one of {', '.join(f'small:{known}' for known in SMALL)}, without options",
            fix=nearest(name, list(SMALL)),
        )
    if weights == "pretrained":
        raise EncoderError(
            f"{reference} has no pretrained weights",
            wanted="weights=random, or a file",
            fix="--set weights=random",
        )


def _timm_file(name: str, weights: str) -> tuple[Path | None, str]:
    """The weights file, and what a report calls it."""
    if weights == "random":
        return None, "random"
    if weights != "pretrained":
        return Path(weights), Path(weights).name
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        every = timm.models.get_arch_pretrained_cfgs(name)
        tags = [full for full, other in every.items() if other.has_weights]
        raise EncoderError(
            f"timm has no pretrained weights for {name}",
            wanted=f"one of {', '.join(tags)}" if tags else "",
            fix="use --weights FILE with a file of your own, or weights=random",
        )
    return pretrained_file(config, name), f"pretrained: {config.tag or name}"


def _load(model: nn.Module, name: str, file: Path, source: str, convert: Convert | None) -> WeightsReport:
    tensors, sha256 = read_weights(file)
    return load_weights(
        model, tensors, file=str(file), model_name=name[:120], source=source, sha256=sha256, convert=convert
    )
