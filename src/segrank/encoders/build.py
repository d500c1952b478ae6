"""A reference -> an encoder with its weights."""

from __future__ import annotations

from typing import Any

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from segrank.encoders.custom import build_custom
from segrank.encoders.encoder import Encoder, Parts, check_crop
from segrank.encoders.hf import build_hf
from segrank.encoders.reference import weights_file
from segrank.encoders.small import SMALL, small_weights
from segrank.encoders.timm_encoder import build_timm
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
        reference: `timm:NAME?k=v`, `small:NAME`, `hf:NAME_OR_FOLDER`, `file:model.py:build` or
            `python:package.module:build`.
        crop: height and width, pixels.
        patch_size: pixels. Weights of another patch size or grid are resampled as timm does. For a
            hierarchical model it is the stride of the stage to take.
        weights: `pretrained` (as the publisher has them), `random`, a file, or a folder with a file that is called
            after the encoder. For a user's own encoder the first two both mean: as its function returns it.
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
    if weights not in ("pretrained", "random"):
        weights = str(weights_file(weights, reference))
    if scheme == "small":
        _check_small(name, reference, weights)
        if weights == "pretrained":
            weights = str(small_weights(reference))
        scheme, name, options = parse_reference(SMALL[name])
    sizes: dict[str, Any] = {"crop": crop, "patch_size": patch_size, "weights": weights, "seed": seed}
    parts: Parts
    match scheme:
        case "timm":
            parts = build_timm(name, options, **sizes)
        case "hf":
            parts = build_hf(name, options, **sizes)
        case "file" | "python":
            parts = build_custom(reference, **sizes)
        case _:
            raise EncoderError(
                f'"{reference[:120]}" is no encoder',
                wanted="timm:NAME, small:NAME, hf:NAME, file:model.py:build or python:package.module:build",
            )
    imagenet = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    mean, std = imagenet if normalisation == "imagenet" else parts.statistics()
    encoder = Encoder(
        parts.backbone, dim=parts.dim, crop=crop, patch_size=patch_size, mean=mean, std=std, name=reference[:120]
    )
    return encoder.train(), parts.report


def _check_small(name: str, reference: str, weights: str) -> None:
    if name not in SMALL or "?" in reference:
        raise EncoderError(
            f'"{reference[:120]}" is no small encoder',
            wanted=f"one of {', '.join(f'small:{known}' for known in SMALL)}, without options",
            fix=nearest(name, list(SMALL)),
        )
    if weights == "pretrained" and small_weights(reference) is None:
        raise EncoderError(
            f"{reference} has no pretrained weights",
            wanted="weights=random, or a file",
            fix="--set weights=random",
        )
