"""A dataset as its makers publish it: where its files lie in the official archives, what they mean, and its card."""

from __future__ import annotations

from dataclasses import dataclass, field

from segrank.data.definition import Definition


@dataclass(frozen=True)
class Part:
    """A piece of a dataset as it is downloaded: an archive, or the same unpacked."""

    archives: tuple[str, ...]
    """File names it goes by, any one of which will do: `VOCtrainval_11-May-2012.tar`, the same as .zip."""
    unpacked: str
    """A folder or file inside it, by which its unpacked form is known: `VOCdevkit/VOC2012`."""
    splits: tuple[str, ...]
    """The splits that need it."""
    number: int = 0
    """Parts with a number, from 1, can be chosen: `gta5?parts=1-2`."""


@dataclass(frozen=True)
class Card:
    """What one should know of a dataset."""

    title: str
    about: str
    """One sentence: what the images show."""
    home: str
    """Where it is downloaded, and on what terms."""
    licence: str
    """In short, with `research only` or the like where it says so."""
    paper: str
    """Author and year, with arXiv number or DOI."""
    images: dict[str, int]
    """Official number of images by split. Counts here may be lower: it is stated, never asserted."""
    protocol: dict[str, str] = field(default_factory=dict)
    """Fields of a spec in which a usual run on it differs from the defaults: `{"crop": "1024", "steps": "20000"}`."""


@dataclass(frozen=True)
class Official:
    """One dataset. Globs in the definition's splits look into all parts together."""

    definition: Definition
    """As a YAML file would give it; its `root` is not used."""
    parts: tuple[Part, ...]
    card: Card
    unpaired: int = 0
    """Images without a mask, and masks without an image, that the makers' own archives are known to have in a split.
    So many are left out and said; more are an error."""
