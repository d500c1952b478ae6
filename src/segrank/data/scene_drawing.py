"""Draws one generated scene: land and sky, then objects from far to near.

Places and textures come from one random stream (`layout`); colour, light, noise from another (`look`). So
the same scene can be drawn in two looks with the same labels.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.data.dataset import IGNORE
from segrank.data.scene_shapes import KINDS, Field

LAND = ("sky", "hills", "field", "water", "road")
CLASSES = (*LAND, *KINDS)


class Look(NamedTuple):
    """Palette, light and noise."""

    sky_top: tuple[float, float, float]
    sky_low: tuple[float, float, float]
    light: tuple[float, float, float]
    """Colour of the light on everything but the sky."""
    haze: float
    """How far distant things take on the colour of the low sky."""
    saturation: float
    jitter: float
    """Spread of the colours of land and sky."""
    noise: float
    """Standard deviation per channel, of 1."""
    vignette: float


LOOKS = {
    "day": Look((0.36, 0.58, 0.9), (0.8, 0.88, 0.95), (1.0, 0.98, 0.92), 0.35, 0.65, 0.14, 0.015, 0.0),
    "dusk": Look((0.12, 0.12, 0.32), (0.85, 0.45, 0.3), (0.62, 0.52, 0.64), 0.45, 0.5, 0.1, 0.03, 0.3),
}

_LAND_COLOURS = np.array(
    [[0.42, 0.5, 0.46], [0.45, 0.6, 0.28], [0.3, 0.5, 0.66], [0.5, 0.48, 0.46]], dtype=np.float32
)  # hills, field, water, road


def draw(
    height: int, width: int, layout: np.random.Generator, look: np.random.Generator, style: Look
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image (height, width, 3) and its labels (height, width)."""
    image, ids, horizon, low_sky = _land(height, width, layout, look, style)
    labels = ids.copy()
    _objects(image, ids, labels, horizon, low_sky, layout, look, style)
    # Thin borders between things are unlabelled, as in hand-made masks.
    for _ in range(max(1, round(min(height, width) / 256))):
        border = np.zeros_like(labels, dtype=np.bool_)
        border[:, :-1] = ids[:, :-1] != ids[:, 1:]
        border[:-1] |= ids[:-1] != ids[1:]
        labels[border] = IGNORE
        ids = np.where(border, np.uint8(IGNORE), ids)
    return _finish(image, look, style), labels


def _land(
    height: int, width: int, layout: np.random.Generator, look: np.random.Generator, style: Look
) -> tuple[Field, NDArray[np.uint8], float, Field]:
    """Sky and land: image, class ids, the horizon (share of the height), the colour of the low sky."""
    r = layout.random(16, dtype=np.float32)
    tint = look.normal(0, style.jitter, (6, 3)).astype(np.float32)
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None, :]
    horizon = 0.32 + 0.22 * float(r[0])
    split = int(np.ceil(horizon * height - 0.5))  # first row below the horizon
    clouds, ground = _smooth_noise(layout, split, width, 10, 5), _smooth_noise(layout, height, width, 12, 8)
    grain = layout.random((height - split, width), dtype=np.float32)
    image = np.empty((height, width, 3), dtype=np.float32)
    ids = np.zeros((height, width), dtype=np.uint8)

    top = np.clip(np.array(style.sky_top, dtype=np.float32) + tint[0], 0, 1)
    low = np.clip(np.array(style.sky_low, dtype=np.float32) + 0.5 * tint[1], 0, 1)
    down = y[:split] / horizon
    cloud = np.clip(clouds * 3 - 1.4 - 0.5 * r[1], 0, 0.8) * (1 - 0.5 * down)
    sky = top + down[..., None] * (low - top)
    image[:split] = sky + cloud[..., None] * (low * 0.9 + 0.1 - sky)

    colours = np.clip(_LAND_COLOURS + 1.2 * tint[2:], 0.08, 1) * np.array(style.light, dtype=np.float32)
    ridge = np.sin(x * (5 + 6 * r[2]) + 6.3 * r[3]) + 0.5 * np.sin(x * (13 + 9 * r[4]) + 6.3 * r[5])
    crest = horizon - 0.05 - 0.06 * (1.5 + ridge) * (0.3 + r[6])
    hills = y[:split] > crest
    slope = 0.75 + 2.5 * (y[:split] - crest) + 0.25 * ground[:split]
    hazy = colours[0] + style.haze * (low - colours[0])
    np.copyto(image[:split], slope[..., None] * hazy, where=hills[..., None])
    ids[:split][hills] = 1

    depth = np.maximum((y[split:] - horizon) / (1 - horizon), 0)  # 0 at the horizon, 1 at the bottom
    far = np.sqrt(depth)
    ground = ground[split:]
    tone = 0.45 + np.abs(np.sin(x * width / 2.2 + ground * 9)) * 0.3 + grain * 0.35 + ground * 0.5
    kinds = np.full(tone.shape, 2, dtype=np.uint8)
    if r[7] < 0.6:
        shore = 0.06 + 0.3 * r[8] + 0.05 * np.sin(x * 9 + 6.3 * r[9]) - np.abs(x - r[14]) * 0.35
        ripples = np.sin(far * 70 + np.sin(x * 14 + 6.3 * r[9]) * 1.5)
        lake = depth < shore
        np.copyto(tone, 0.95 + 0.3 * ripples * (0.4 + 0.6 * ground), where=lake)
        kinds[lake] = 3
    if r[15] < 0.65:
        middle = r[10] + (0.8 * r[11] - 0.4) * depth + 0.12 * np.sin(depth * 5 + 6.3 * r[12])
        across = np.abs(x - middle) / (0.02 + (0.1 + 0.14 * r[13]) * depth)
        dash = (across < 0.08) & (far * 9 % 1 < 0.55)
        road = across < 1
        np.copyto(tone, 0.8 + 0.15 * grain + dash * np.float32(0.9), where=road)
        kinds[road] = 4
    ids[split:] = kinds
    land = colours[kinds - 1]
    land *= tone[..., None]
    land += (style.haze * np.clip(1 - depth * 1.6, 0, 1))[..., None] * (low - land)
    image[split:] = land
    return image, ids, horizon, low


def _objects(
    image: Field,
    ids: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    horizon: float,
    low_sky: Field,
    layout: np.random.Generator,
    look: np.random.Generator,
    style: Look,
) -> None:
    """Paint objects into all three arrays, far ones first. In `ids` each is told from all others."""
    height, width = ids.shape
    names = tuple(KINDS)
    count = int(layout.integers(9, 17))
    chosen = layout.integers(0, len(names), count)
    r = layout.random((count, 8), dtype=np.float32)
    colours = _random_colours(look, count, style)
    sun = float(look.random()) * 2 - 1
    # The square root puts more things near than a flat distribution would.
    depths = np.where([KINDS[names[k]].flies for k in chosen], -1, np.sqrt(r[:, 0]))
    for number, k in enumerate(np.argsort(depths, kind="stable")):
        kind = KINDS[names[chosen[k]]]
        near = float(r[k, 0]) if kind.flies else float(depths[k])
        low, high = kind.height
        tall = min(height, width) * (low + (high - low) * float(r[k, 1])) * (0.45 + 0.55 * near)
        wide = tall * (kind.aspect[0] + (kind.aspect[1] - kind.aspect[0]) * float(r[k, 2]))
        bottom = height * (
            horizon * (0.35 + 0.55 * float(r[k, 3]))
            if kind.flies
            else horizon + (1.02 - horizon) * (0.04 + 0.96 * near)
        )
        centre = width * (1.1 * float(r[k, 4]) - 0.05)
        rows = slice(max(0, int(bottom - tall)), min(height, int(np.ceil(bottom))))
        columns = slice(max(0, int(centre - wide / 2)), min(width, int(np.ceil(centre + wide / 2))))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        v = ((np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - (bottom - tall)) / tall)[:, None]
        u = ((np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - centre) * (2 / wide))[None, :]
        inside, tone = kind.shape(u, v, r[k, 5:])
        inside = inside & (v >= 0) & (v <= 1) & (np.abs(u) <= 1)
        first, second = colours[k]
        light = 1.02 + 0.28 * sun * u - 0.16 * v
        shaded = (first + tone[..., None] * (second - first)) * light[..., None]
        haze = 0.0 if kind.flies else style.haze * max(0.0, 0.8 - 1.2 * near)
        shaded += haze * (low_sky - shaded)
        if not kind.flies:  # a shadow under it, cast away from the sun
            _shadow(image, bottom, centre + sun * wide * 0.2, wide)
        patch = image[rows, columns]
        np.copyto(patch, np.maximum(shaded, 0), where=inside[..., None])
        ids[rows, columns][inside] = len(CLASSES) + number
        labels[rows, columns][inside] = len(LAND) + chosen[k]


def _shadow(image: Field, y: float, x: float, wide: float) -> None:
    height, width = image.shape[:2]
    deep = max(1.0, wide * 0.12)
    rows = slice(max(0, int(y - deep)), max(0, min(height, int(y + deep) + 1)))
    columns = slice(max(0, int(x - wide * 0.6)), max(0, min(width, int(x + wide * 0.6) + 1)))
    v = (np.arange(rows.start, max(rows.start, rows.stop), dtype=np.float32)[:, None] - y) / deep
    u = (np.arange(columns.start, max(columns.start, columns.stop), dtype=np.float32)[None, :] - x) / (wide * 0.6)
    image[rows, columns] *= (1 - 0.45 * np.clip(1 - u * u - v * v, 0, 1))[..., None]


def _random_colours(look: np.random.Generator, count: int, style: Look) -> Field:
    """(count, 2, 3): two colours per object, far enough apart in lightness for its texture to show."""
    r = look.random((count, 2, 3), dtype=np.float32)
    turn = r[..., :1] + np.array([0, 1 / 3, 2 / 3], dtype=np.float32)
    pure = np.clip(np.abs(turn % 1 * 6 - 3) - 1, 0, 1)
    value = 0.6 + 0.4 * r[:, :1, 1:2] * np.ones((1, 2, 1), dtype=np.float32)
    value[:, 1] = value[:, 0] * 0.4
    dark_first = r[:, 0, 2] < 0.4
    value[dark_first] = value[dark_first, ::-1]
    faded = 1 - style.saturation * (0.35 + 0.65 * r[..., 1:2]) * (1 - pure)
    colours: Field = value * faded * np.array(style.light, dtype=np.float32)
    return colours


def _smooth_noise(rng: np.random.Generator, height: int, width: int, rows: int, columns: int) -> Field:
    """(height, width) in 0..1: random values on a coarse grid, joined linearly."""
    grid = rng.random((rows, columns), dtype=np.float32)
    smooth = _weights(height, rows) @ grid @ _weights(width, columns).T
    return smooth.astype(np.float32, copy=False)


@functools.lru_cache(maxsize=16)
def _weights(size: int, knots: int) -> Field:
    """(size, knots) matrix of linear interpolation."""
    place = np.linspace(0, knots - 1, size)[:, None]
    weights: Field = np.maximum(1 - np.abs(place - np.arange(knots)), 0).astype(np.float32)
    return weights


def _finish(image: Field, look: np.random.Generator, style: Look) -> NDArray[np.uint8]:
    """Soften edges, darken corners, add noise, round to bytes."""
    height, width = image.shape[:2]
    image[:, :-1] += image[:, 1:]  # each pixel with its right and its lower neighbour: half a pixel of blur
    image[:-1] += image[1:]
    image[:-1, :-1] *= 0.25
    image[-1, :-1] *= 0.5
    image[:-1, -1] *= 0.5
    if style.vignette:
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        image *= (1 - style.vignette * 0.5 * (x * x + y * y))[..., None]
    # Flat noise of the same spread: a quarter of the time that normal noise takes.
    noise = look.random(image.shape, dtype=np.float32)
    noise -= 0.5
    noise *= style.noise * 12**0.5
    image += noise
    np.clip(image, 0, 1, out=image)
    image *= 255
    image += 0.5
    return image.astype(np.uint8)
