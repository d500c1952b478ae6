"""Which image belongs to which mask: two globs paired by what their wildcards matched, or a list of stems."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from segrank.data.definition import SplitFiles
from segrank.data.globs import check_inside, expression
from segrank.data.lines import Lines
from segrank.data.tree import Tree
from segrank.errors import DataError

MAX_LIST_BYTES = 2**28


@dataclass(frozen=True)
class Pairs:
    """Images and their masks, in order."""

    names: Lines
    """Of the samples."""
    files: Lines
    """In the tree: all images, then all masks. One text, which the tree's subset may share."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def images(self) -> Sequence[str]:
        return self.files[: len(self)]

    @property
    def masks(self) -> Sequence[str]:
        return self.files[len(self) :]

    def __getitem__(self, index: int) -> tuple[str, str, str]:
        """Name, image and mask of one; an index below 0 counts from the end."""
        place = range(len(self))[index]
        return self.names[place], self.files[place], self.files[len(self) + place]


@dataclass(frozen=True)
class Listing:
    """What was found. `missing` says in words which image has no mask, and which mask no image."""

    pairs: Pairs
    missing: tuple[str, ...]


def list_pairs(tree: Tree, files: SplitFiles) -> Listing:
    """Look at the names of the files; none is opened but the list.

    Globs give pairs sorted by name; a list keeps its order. Hidden files (`._x.png`) are passed over.

    Raises:
        DataError: a path leaves the root, a name stands twice or cannot be written on one line.
    """
    if files.stems_file:
        return _by_list(tree, files)
    images, masks = _by_glob(tree, files.images), _by_glob(tree, files.masks)
    names = sorted(images.keys() & masks.keys())
    paired = [files[name] for files in (images, masks) for name in names]
    lonely = [f"{images[name]} has no mask" for name in sorted(images.keys() - masks.keys())]
    lonely += [f"{masks[name]} has no image" for name in sorted(masks.keys() - images.keys())]
    return Listing(Pairs(Lines.of(names), Lines.of(paired)), tuple(lonely))


def _by_glob(tree: Tree, pattern: str) -> dict[str, str]:
    """Name -> file. The name is what the wildcards matched, so that `x_image.png` pairs with `x_mask.png`."""
    matches = expression(pattern).fullmatch
    found: dict[str, str] = {}
    for file in tree.find(pattern):
        match = matches(file)
        assert match is not None
        name = "/".join([part for group in match.groups() if (part := group.strip("/"))])
        _check_name(name, file)
        if name in found:
            raise DataError(
                f'{found[name]} and {file} are both "{name}"',
                wanted="one file per name",
                fix=f'make the pattern "{pattern}" narrower',
            )
        found[name] = file
    return found


def _by_list(tree: Tree, files: SplitFiles) -> Listing:
    for path in (files.images, files.masks, files.stems_file):
        check_inside(path)
    pairs: dict[str, tuple[str, str]] = {}
    missing: list[str] = []
    for number, line in enumerate(_read_lines(tree, files.stems_file), start=1):
        stem = line.strip()
        if not stem:
            continue
        where = f"{tree.where(files.stems_file)}, line {number}"
        _check_name(stem, where)
        check_inside(stem)
        if stem in pairs:
            raise DataError(f'{where}: "{stem}" stands twice', wanted="each stem once")
        image, mask = files.images.replace("{}", stem), files.masks.replace("{}", stem)
        pairs[stem] = image, mask
        for file, kind in ((image, "image"), (mask, "mask")):
            if file not in tree:
                missing.append(f"{stem} has no {kind}: there is no {file}")
    listed = [pair[kind] for kind in (0, 1) for pair in pairs.values()]
    return Listing(Pairs(Lines.of(pairs), Lines.of(listed)), tuple(missing))


def _read_lines(tree: Tree, name: str) -> list[str]:
    where = tree.where(name)
    if name in tree:
        if tree.size(name) > MAX_LIST_BYTES:
            raise DataError(f"{where} is over {MAX_LIST_BYTES} bytes", wanted="one stem per line")
        if tree.size(name) == 0:
            return []
    try:
        return tree.read(name).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"the list {where} cannot be read: {error}", wanted="a text file") from error


def _check_name(name: str, where: str) -> None:
    if name.isprintable():  # a hundred times as fast, and nearly always so
        return
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        raise DataError(
            f"the name in {where!r} has a line break, another control character or bytes that are not UTF-8",
            wanted="names that fit on one line",
            fix="rename the file",
        )
