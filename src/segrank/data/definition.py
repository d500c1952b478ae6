"""The YAML file that says what a folder of images and masks means."""

from __future__ import annotations

import itertools
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from segrank.data.dataset import IGNORE
from segrank.data.labels import MAX_ID, LabelMapping
from segrank.errors import DataError, SpecError
from segrank.files import read_yaml
from segrank.spec import spec_error

MAX_CLASSES = 255
"""Labels are bytes and 255 is the ignored one."""


def _colour(value: object) -> object:
    """[128, 64, 128] or "#804080" -> 0x804080."""
    if isinstance(value, str) and (match := re.fullmatch(r"#?([0-9A-Fa-f]{6})", value.strip())):
        return int(match[1], 16)
    if isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value):
        return value[0] << 16 | value[1] << 8 | value[2]
    raise ValueError('a colour is [red, green, blue], each 0 to 255, or "#rrggbb" (with the quotes)')


def _listed(value: object) -> object:
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


RawId = Annotated[int, Field(strict=True, ge=0, le=MAX_ID)]
Colour = Annotated[int, BeforeValidator(_colour)]
Text = Annotated[str, Field(min_length=1, max_length=1024)]


class SplitFiles(BaseModel):
    """Where the files of a split are: two globs, or a list of stems with two templates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: Text
    """A glob such as `images/*.jpg`; with `list`, a template such as `images/{}.jpg`."""
    masks: Text
    """Likewise."""
    stems_file: str = Field(default="", max_length=1024, alias="list")
    """A text file with one stem per line, relative to the root."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key, pattern in (("images", self.images), ("masks", self.masks)):
            if self.stems_file and pattern.count("{}") != 1:
                raise ValueError(f'{key} is "{pattern[:80]}"; with `list` it needs {{}} once, for the stem')
            if not self.stems_file and not any(character in pattern for character in "*?["):
                raise ValueError(f'{key} is "{pattern[:80]}"; it needs a * (or a `list` file and {{}})')
        return self


class Definition(BaseModel):
    """A dataset made of files. All paths are relative to `root`, and `root` to the YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=128)
    root: str = Field(default=".", min_length=1, max_length=4096)
    """The folder that holds all files."""
    classes: tuple[Annotated[str, Field(max_length=128)], ...] = Field(min_length=1, max_length=MAX_CLASSES)
    """Names, in the order of the class indices."""
    ignore: Annotated[tuple[RawId, ...], BeforeValidator(_listed)] = ()
    """Raw ids of pixels that take no part."""
    ids: dict[RawId, Annotated[int, Field(strict=True)] | str] = Field(default_factory=dict)
    """Raw id -> class index or class name. Without it, raw id n is class n."""
    colours: tuple[Colour, ...] = ()
    """One per class, for masks whose classes are colours."""
    ignore_colours: tuple[Colour, ...] = ()
    """Colours of pixels that take no part."""
    resize_labels: bool = Field(default=False, strict=True)
    """Whether a mask of another size than its image is resized to it (nearest). Otherwise it is an error."""
    splits: dict[Annotated[str, Field(min_length=1, max_length=128)], SplitFiles] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in (self.name, *self.splits):
            if not name.isprintable() or "/" in name:
                raise ValueError(f"the name {name[:80]!r} has a / or characters that do not print")
        seen: dict[str, str] = {}
        for name in self.classes:
            if not name.strip() or not name.isprintable():
                raise ValueError(f"classes: {name!r} is empty or has characters that do not print")
            plain = unicodedata.normalize("NFC", name.strip())
            if plain in seen:
                raise ValueError(f'classes: "{name}" stands twice')
            seen[plain] = name
        if (self.colours or self.ignore_colours) and (self.ids or self.ignore):
            raise ValueError("masks hold either ids (`ids`, `ignore`) or colours (`colours`, `ignore_colours`)")
        if self.ignore_colours and not self.colours:
            raise ValueError("`ignore_colours` needs `colours`")
        if self.colours and len(self.colours) != len(self.classes):
            raise ValueError(f"{len(self.colours)} colours for {len(self.classes)} classes; one each is needed")
        self.mapping()
        return self

    def mapping(self) -> LabelMapping:
        """What each raw value in a mask means.

        Raises:
            ValueError: a value means two things, or a class that is not there.
        """
        meanings: list[tuple[int, int]]
        if self.colours:
            meanings = [(colour, index) for index, colour in enumerate(self.colours)]
            ignored = self.ignore_colours
        else:
            meanings = [(raw, self._class_index(raw, target)) for raw, target in self.ids.items()]
            meanings = meanings or [(index, index) for index in range(len(self.classes))]
            ignored = self.ignore
        pairs = sorted(meanings + [(value, IGNORE) for value in dict.fromkeys(ignored)])
        mapping = LabelMapping(tuple(pairs), by_colour=bool(self.colours))
        for (value, first), (other, second) in itertools.pairwise(pairs):
            if value == other:
                both = " and ".join("ignored" if i == IGNORE else f'"{self.classes[i]}"' for i in (first, second))
                fix = "" if self.colours or self.ids else "; list the ids of all classes under `ids`"
                raise ValueError(f"the value {mapping.describe(value)} would be {both}{fix}")
        return mapping

    def _class_index(self, raw: int, target: int | str) -> int:
        if isinstance(target, str) and target in self.classes:
            return self.classes.index(target)
        if isinstance(target, int) and 0 <= target < len(self.classes):
            return target
        raise ValueError(
            f"ids: {raw} is mapped to {str(target)[:80]!r}, which is neither a class name nor an index "
            f"from 0 to {len(self.classes) - 1} (ids to leave out belong under `ignore`)"
        )


def read_definition(path: Path) -> Definition:
    """The definition in a YAML file.

    Raises:
        DataError: naming the file and the key.
    """
    try:
        content = read_yaml(path)
        return Definition(**content)
    except ValidationError as error:
        error_in_words = spec_error(error, str(path), _known_keys(content))
    except SpecError as error:
        error_in_words = error
    except TypeError:  # a key that is not a text
        error_in_words = SpecError(f"{path} has a key that is not a word", wanted="the keys of a dataset")
    raise DataError(error_in_words.found, wanted=error_in_words.wanted, fix=error_in_words.fix)


def _known_keys(content: dict[str, Any]) -> tuple[str, ...]:
    """Keys as pydantic spells their places, so that the nearest one can be named."""
    splits = content.get("splits")
    names = list(splits)[:3] if isinstance(splits, dict) else []
    inner = [f"splits.{name}.{key}" for name in names for key in ("images", "masks", "list")]
    return (*Definition.model_fields, *inner)
