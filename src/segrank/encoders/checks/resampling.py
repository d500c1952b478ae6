"""Are features at the run's crop and patch close to those of the model's native size, on the same content?

Three tests. Position tables are compared value by value with the native ones resized in each way that is in use, and
patch weights by their responses to a picture with those of the native ones, as they are and rightly resized. Their
yardsticks are exact, so that they hold for any model. Features of the same pictures are compared cell by cell, which
shows whether the pretrained model survives; the measure is how far the native model's own features of mirrored
pictures, mirrored back, differ from the plain ones. How much of that a model rightly loses at another size is its own
affair (MAE and CLIP know one small grid, SAM's windows see other parts of the image), so that this test never says
"wrong".

Limits were set on one pretrained model, a DINOv2-type ViT-S/14, at 512/16, 256/16, 256x512/16, 224/14, 256/8 and
128/8, and on the same with deliberate faults; the figures stand beside each limit.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from segrank import _torchvision  # noqa: F401  before timm

# isort: split
from timm.layers.patch_embed import resample_patch_embed
from timm.models.hiera import Hiera
from timm.models.hieradet_sam2 import HieraDet

from segrank.encoders.checks.gradients import named
from segrank.encoders.checks.report import Finding, Status
from segrank.encoders.checks.subject import Subject, core_of, pictures
from segrank.encoders.encoder import Encoder

CLOSE = 0.7
"""Mean cosine of features less their mean, over that of the mirrored pictures, from which a model is its native self.
Rightly wired 0.76 to 1.02; with its table turned, zero, random or cut, or its patch weights spoilt, 0.20 to 0.9."""
TABLE_CLOSE = 0.965
"""Correlation of a table with the native one resized, in the way that comes closest: rightly 1; nearest 0.88 to 0.973,
with the class token in the image 0.90 to 0.956, cut, turned or stretched in one line at most 0.63. Compared with one
way alone (bicubic, antialias), others came to 0.971 to 0.999, and lower on tables that are less smooth."""
TOKEN = 0.002
"""By how much it may correlate better with the native one that has the class token in the image: rightly 0.02 to 0.1
worse, and that much better if it is there. Without a token in front both are the same."""
PATCH_CLOSE = 0.85
"""Correlation of the responses of patch weights with those of the native ones, or of these resized by the
pseudo-inverse, whichever is closer: to the latter rightly 1, to the former 0.93 (to 8x8) to 1, less where filters are
finer; by nearest, turned or cut at most 0.80."""
GAIN = 1.2
"""And the largest ratio of their sizes: rightly 1; interpolated as an image without rescaling 1.3 (16x16) and 0.33
(8x8)."""
PICTURES = 3
"""Shown for the features."""
TABLES = ("pos_embed", "position_embedding", "position_embeddings", "pos_emb", "positional_embedding")


_OPTIONS: tuple[dict[str, Any], ...] = ({"antialias": True}, {}, {"align_corners": True})
"""Of torch's interpolation."""


class Native(NamedTuple):
    """The size that a model was trained at."""

    crop: tuple[int, int]
    """Height and width, pixels."""
    patch_size: int


class Pair:
    """An encoder and itself at its native size, which is built when it is first asked for.

    Args:
        trained: its weights are pretrained ones; random ones of two sizes have nothing in common.
    """

    def __init__(self, subject: Subject, encoder: Encoder, native: Native | None, *, trained: bool) -> None:
        self.subject, self.encoder, self.native = subject, encoder, native
        self.hindrance = ""
        if not trained:
            self.hindrance = "weights are random: two sizes of it have nothing in common"
        elif native is None:
            self.hindrance = "nobody states the model's native crop and patch: give them to have it tested"
        elif (native.crop, native.patch_size) == (encoder.crop, encoder.patch_size):
            self.hindrance = "crop and patch are the native ones: nothing is resampled"

    @functools.cached_property
    def original(self) -> Encoder:
        assert self.native is not None, "there is no hindrance"
        return self.subject.build(self.native.crop, self.native.patch_size)[0]


def closeness(one: Tensor, other: Tensor) -> float:
    """Mean cosine of features (b dim h w) of two grids, each less its mean, at the cells of the coarser one."""
    rows, columns = (min(sides) for sides in zip(one.shape[2:], other.shape[2:], strict=True))
    first, second = (_resized(features, (rows, columns), "bilinear") for features in (one, other))
    # the mean feature is large and common to all cells: left in, everything would be close to everything
    middles = [features.mean((0, 2, 3), keepdim=True) for features in (first, second)]
    return float(F.cosine_similarity(first - middles[0], second - middles[1], dim=1).mean())


def check_features(pair: Pair) -> Finding:
    """Features cell by cell."""
    if pair.hindrance:
        return Finding(name="resampling", status="skipped", evidence=pair.hindrance)
    subject, encoder, original = pair.subject, pair.encoder, pair.original
    images = pictures(PICTURES, encoder.crop, subject.device)
    enlarged = _resized(images.float(), original.crop, "bilinear").round().clamp(0, 255).to(torch.uint8)
    with torch.no_grad():
        wanted = _one_by_one(original, enlarged)
        value = closeness(wanted, _one_by_one(encoder, images))
        mirrored = closeness(wanted, _one_by_one(original, enlarged.flip(3)).flip(3))
    share = value / max(mirrored, 1e-3)
    status: Status = "ok" if share >= CLOSE and mirrored >= 0.2 else "unsure"
    advice = (
        "either this model does not bear a grid so far from its native one, or something is not resized that position "
        "table and patch weights do not show: rotary coordinates, relative positions, windows"
    )
    return Finding(
        name="resampling",
        status=status,
        evidence=f"features at {_size(encoder)} and at the native {_size(original)} on the same pictures: cosine "
        f"{value:.2f}, which is {share:.2f} of that between the native ones of a picture and its mirror image, "
        f"{mirrored:.2f} (close from {CLOSE})",
        advice="" if status == "ok" else advice,
        measured={"cosine": value, "mirrored": mirrored, "share": share},
    )


def check_tables(pair: Pair) -> Finding:
    """Tables of absolute positions, value by value."""

    def finding(status: Status, evidence: str, advice: str = "", **measured: float) -> Finding:
        return Finding(name="position table", status=status, evidence=evidence, advice=advice, measured=measured)

    if pair.hindrance:
        return finding("skipped", pair.hindrance)
    encoder, original = pair.encoder, pair.original
    if isinstance(core_of(encoder), Hiera | HieraDet):
        return finding("skipped", "Hiera's table is resized by units of windows, not as one image: see resampling")
    own, native = encoder.backbone.state_dict(), original.backbone.state_dict()
    names = [n for n in native if n in own and n.removesuffix(".weight").rpartition(".")[2] in TABLES]
    if not names:
        return finding("skipped", "it has no table of absolute positions")
    for name in names:
        wanted, found = _grid_of(native[name], original.grid), _grid_of(own[name], encoder.grid)
        if wanted is None or found is None:
            if own[name].shape == native[name].shape:
                return finding("skipped", f"{name} stays as it is, and is resized on the way: see resampling")
            return finding("unsure", f"{name} {tuple(own[name].shape)} has not one entry for each patch")
        value, shifted = (
            max(_correlation(resized, found) for resized in _ways(image, encoder.grid))
            for image in (wanted, _with_token(native[name], wanted))
        )
        # the finer the native grid, the less one token's shift is seen in a coarse one: the closer of the two counts
        if value < TABLE_CLOSE or shifted > value + TOKEN:
            token = (
                f"; with the class token's entry in the image it is {shifted:.3f}" if shifted > value + TOKEN else ""
            )
            return finding(
                "wrong",
                f"{name} is not the native one resized: correlation {value:.3f}, wanted {TABLE_CLOSE}{token}",
                "resize the patches' entries as an image (bicubic, antialias) and keep those of class tokens out of it",
                correlation=value,
                with_token=shifted,
            )
    evidence = f"{named(names)} is the native one resized: correlation {value:.3f} (at least {TABLE_CLOSE})"
    return finding("ok", evidence, correlation=value, with_token=shifted)


def check_patches(pair: Pair) -> Finding:
    """Responses of patch weights."""

    def finding(status: Status, evidence: str, advice: str = "", **measured: float) -> Finding:
        return Finding(name="patch weights", status=status, evidence=evidence, advice=advice, measured=measured)

    if pair.hindrance:
        return finding("skipped", pair.hindrance)
    encoder, original = pair.encoder, pair.original
    if encoder.patch_size == original.patch_size:
        return finding("skipped", f"the patch is the native one, {encoder.patch_size} pixels")
    native, own = original.backbone.state_dict(), encoder.backbone.state_dict()
    sizes = (original.patch_size, encoder.patch_size)
    pairs = [
        (name, value, own[name])
        for name, value in native.items()
        if name in own and value.ndim == own[name].ndim == 4
        and [tuple(v.shape[1:]) for v in (value, own[name])] == [(3, size, size) for size in sizes]
    ]  # fmt: skip
    if not pairs:
        return finding("unsure", f"no weights of {sizes[0]}x{sizes[0]} pixels became weights of {sizes[1]}x{sizes[1]}")
    name, before, after = pairs[0]
    picture = pictures(1, (8 * sizes[0], 8 * sizes[0]), before.device).float() - 127.5
    resized = _resized(picture, (8 * sizes[1], 8 * sizes[1]), "bicubic")
    right = resample_patch_embed(before.float(), [sizes[1], sizes[1]])
    answers = F.conv2d(resized, after.float(), stride=sizes[1])
    # what fine filters see is rightly lost in smaller patches, so that the native answers alone would be unfair
    value, gain = max(
        (_correlation(wanted, answers), float(answers.norm() / wanted.norm()))
        for wanted in (
            F.conv2d(picture, before.float(), stride=sizes[0]),
            F.conv2d(resized, right, stride=sizes[1]),
        )
    )
    evidence = (
        f"{name} answers to a picture at {sizes[1]}x{sizes[1]} as it does natively at {sizes[0]}x{sizes[0]}: "
        f"correlation {value:.3f} (at least {PATCH_CLOSE}), gain {gain:.2f} (at most {GAIN} either way)"
    )
    if value >= PATCH_CLOSE and 1 / GAIN <= gain <= GAIN:
        return finding("ok", evidence, correlation=value, gain=gain)
    return finding(
        "wrong",
        evidence.replace("answers", "does not answer"),
        "resize patch weights by the pseudo-inverse of the resizing of images (timm's resample_patch_embed)",
        correlation=value,
        gain=gain,
    )


def _grid_of(table: Tensor, grid: tuple[int, int]) -> Tensor | None:
    """A table as an image (1 dim h w), without entries for tokens in front; None if it does not fit the grid."""
    rows, columns = grid
    if table.ndim == 4 and tuple(table.shape[1:3]) == grid:
        return table.permute(0, 3, 1, 2).float()
    if table.ndim == 4 and tuple(table.shape[2:]) == grid:
        return table.float()
    entries = table.reshape(-1, table.shape[-1])
    if table.ndim > 3 or not 0 <= len(entries) - rows * columns <= 16:
        return None
    return entries[len(entries) - rows * columns :].reshape(1, rows, columns, -1).permute(0, 3, 1, 2).float()


def _with_token(table: Tensor, image: Tensor) -> Tensor:
    """The image (1 dim h w) of a table as it would be if it began with the entry of the token in front."""
    if table.ndim > 3:
        return image
    rows, columns = image.shape[2:]
    entries = table.reshape(-1, table.shape[-1])[: rows * columns]
    return entries.reshape(1, rows, columns, -1).permute(0, 3, 1, 2).float()


def _ways(image: Tensor, grid: tuple[int, int]) -> Iterator[Tensor]:
    """A table (1 dim h w) on another grid, in the ways that are in use.

    timm resizes bicubic with antialias, others without or bilinear, RADIO with its corners on the corners and as a
    square of which the grid is cut.
    """
    squares = [grid] if grid[0] == grid[1] else [grid, (max(grid), max(grid))]
    for size in squares:
        for mode in ("bicubic", "bilinear"):
            for options in _OPTIONS:
                resized = image if tuple(image.shape[2:]) == size else F.interpolate(image, size, mode=mode, **options)
                yield resized[:, :, : grid[0], : grid[1]]


def _correlation(one: Tensor, other: Tensor) -> float:
    first, second = (table - table.mean((2, 3), keepdim=True) for table in (one, other))
    return float((first * second).sum() / (first.norm() * second.norm()).clamp_min(1e-12))


def _one_by_one(encoder: Encoder, images: Tensor) -> Tensor:
    return torch.cat([encoder(image[None]) for image in images])


def _resized(values: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    if tuple(values.shape[2:]) == tuple(size):
        return values
    return F.interpolate(values, size=size, mode=mode, antialias=True, align_corners=False)


def _size(encoder: Encoder) -> str:
    return f"{encoder.crop[0]}x{encoder.crop[1]}/{encoder.patch_size}"
