"""What stands in a generated scene: each object as a shape and a texture in its own coordinates.

An object is a function of u (-1 left .. 1 right), (1, w), and v (0 top .. 1 bottom), (h, 1), and of three
random numbers in 0..1. It gives a mask and a tone, both (h, w): tone 0 is the object's first colour, 1 its
second, and colours are drawn at random for every object. So a class is told by shape and texture: some share
a shape (balloon, ball), some a texture (fence, tent), none a colour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Shape = Callable[[Field, Field, Field], tuple[Mask, Field]]


def _stripes(x: Field, n: float) -> Field:
    """0 and 1 in turn, n pairs per unit."""
    stripes: Field = np.floor(x * (2 * n)) % 2
    return stripes


def _disc(u: Field, v: Field, cu: float, cv: float, ru: float, rv: float) -> Field:
    """Squared distance from the centre of an ellipse; its edge is at 1."""
    distance: Field = np.square((u - cu) / ru) + np.square((v - cv) / rv)
    return distance


def house(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A gabled wall of bricks with a plain roof and two dark windows."""
    eaves = 0.3 + 0.15 * r[0]
    roof = (v < eaves) & (np.abs(u) < v / eaves)
    wall = (v >= eaves) & (np.abs(u) < 0.85)
    row = np.floor(v * 14)
    mortar = (v * 14 - row < 0.25) | ((u * 4 + row * 0.5) % 1 < 0.14)
    window = (np.abs(np.abs(u) - 0.42) < 0.17) & (np.abs(v - eaves - 0.25) < 0.1)
    tone = np.where(roof, np.float32(1), mortar * np.float32(0.45))
    return roof | wall, np.where(window, np.float32(1.25), tone)


def tower(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A tall block with a regular grid of windows."""
    columns, rows = 3 + int(r[0] * 2), 7 + int(r[1] * 4)
    window = ((u * 0.5 + 0.5) * columns % 1 > 0.45) & (v * rows % 1 > 0.45)
    return (np.abs(u) <= 1) & (v >= 0), window.astype(np.float32)


def tree(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A trunk under a crown of three overlapping discs with leaves."""
    lean = 0.3 * float(r[0]) - 0.15
    crown = (_disc(u, v, lean, 0.27, 0.62, 0.27) < 1) | (_disc(u, v, -0.45, 0.45, 0.5, 0.22) < 1)
    crown |= _disc(u, v, 0.45, 0.43, 0.52, 0.22) < 1
    trunk = (np.abs(u) < 0.13) & (v > 0.45)
    leaves = np.sin(u * 19 + np.sin(v * 23) * 2) * np.sin(v * 37 + np.sin(u * 17) * 2 + 6 * r[1])
    return crown | trunk, np.where(crown, 0.35 + 0.45 * leaves, np.float32(1.1))


def pine(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A saw-toothed cone, darker under each tier."""
    tiers = 3 + int(r[0] * 2)
    step = v / 0.88 * tiers % 1
    cone = (np.abs(u) < (v / 0.88) * 0.55 + step * 0.4) & (v < 0.88)
    trunk = (np.abs(u) < 0.12) & (v >= 0.88)
    return cone | trunk, np.where(cone, 1 - step, np.float32(1.1))


def balloon(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """An envelope with stripes along its meridians, and a basket."""
    distance = _disc(u, v, 0, 0.4, 0.95, 0.4)
    envelope = (distance < 1) | ((v > 0.6) & (v < 0.82) & (np.abs(u) < (0.9 - v) * 1.9))
    basket = (np.abs(u) < 0.16) & (v > 0.88)
    width = np.sqrt(np.maximum(1.02 - np.square((v - 0.4) / 0.42), 0.12))
    stripes = _stripes(np.clip(u / width, -1, 1) * 0.75 + 0.5 * r[0], 2)
    return envelope | basket, np.where(basket, np.float32(1.3), stripes)


def ball(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A disc with dots in staggered rows."""
    row = np.floor(v * 5)
    dots = np.square((u * 2.5 + row * 0.5 + r[0]) % 1 - 0.5) + np.square(v * 5 - row - 0.5) < 0.075
    return _disc(u, v, 0, 0.5, 1, 0.5) < 1, dots.astype(np.float32)


def crate(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A square box in a checker of light and dark."""
    n = 4 + int(r[0] * 2)
    checker = (np.floor((u * 0.5 + 0.5) * n) + np.floor(v * n)) % 2
    return (np.abs(u) <= 1) & (v >= 0), checker.astype(np.float32)


def fence(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A long row of pointed pickets with a rail behind."""
    n = 7 + int(r[0] * 3)
    across = np.abs((u * 0.5 + 0.5) * n % 1 - 0.5)
    picket = (across < 0.33) & (v > across * 0.6)
    body = picket | ((v > 0.3) & (np.abs(u) <= 1))
    return body, np.where(picket, np.float32(0), np.float32(1))


def sign(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A thin post under a plate (disc or diamond) with rings."""
    if r[0] < 0.5:
        distance: Field = np.sqrt(_disc(u, v, 0, 0.24, 0.95, 0.24))
    else:
        distance = np.abs(u) / np.float32(0.95) + np.abs(v - 0.24) / np.float32(0.24)
    plate = distance < 1
    post = (np.abs(u) < 0.13) & (v > 0.3)
    return plate | post, np.where(plate, _stripes(distance + 0.05, 1.4), np.float32(0.7))


def rock(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A lump with an uneven outline, lit on facets."""
    angle = np.arctan2(v - 0.7, u * 0.75)
    edge = 0.8 + 0.12 * np.sin(angle * 3 + 6.3 * r[0]) + 0.07 * np.sin(angle * 7 + 6.3 * r[1])
    facets = np.floor((angle * 1.3 + r[2] * 5 + v * 2) % 2 * 2) / 4
    return np.square(u) + np.square((v - 1) / 0.95) < np.square(edge), facets + (np.sin(u * 31) * np.sin(v * 43)) * 0.2


def tent(u: Field, v: Field, r: Field) -> tuple[Mask, Field]:
    """A triangle with broad stripes that fan out from its top, and a dark door."""
    fan = u / np.maximum(v, 0.05)
    door = (np.abs(fan) < 0.22) & (v > 0.4)
    return np.abs(u) < v, np.where(door, np.float32(1.5), _stripes(fan + 0.5 * r[0], 1.5))


class Kind(NamedTuple):
    """How a class of objects is placed."""

    shape: Shape
    height: tuple[float, float]
    """Of the object in the foreground, as a share of the picture's shorter side."""
    aspect: tuple[float, float]
    """Width over height."""
    flies: bool = False
    """Whether it hangs in the sky, or stands on the ground."""


KINDS: dict[str, Kind] = {
    "house": Kind(house, (0.35, 0.55), (0.8, 1.3)),
    "tower": Kind(tower, (0.5, 0.8), (0.28, 0.42)),
    "tree": Kind(tree, (0.45, 0.7), (0.65, 0.9)),
    "pine": Kind(pine, (0.45, 0.75), (0.45, 0.6)),
    "balloon": Kind(balloon, (0.22, 0.42), (0.7, 0.8), flies=True),
    "ball": Kind(ball, (0.2, 0.32), (0.95, 1.05)),
    "crate": Kind(crate, (0.2, 0.34), (0.9, 1.25)),
    "fence": Kind(fence, (0.2, 0.28), (2.2, 3.2)),
    "sign": Kind(sign, (0.45, 0.62), (0.42, 0.5)),
    "rock": Kind(rock, (0.18, 0.32), (1.3, 2.0)),
    "tent": Kind(tent, (0.28, 0.42), (1.1, 1.5)),
}
