"""Which image belongs to which mask: two globs paired by what their wildcards matched, or a list of stems."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segrank.data.definition import SplitFiles
from segrank.errors import DataError

MAX_FILES = 5_000_000
"""Of one split."""
MAX_LIST_BYTES = 2**28


@dataclass(frozen=True)
class Pair:
    """One image and its mask, as paths relative to the root."""

    name: str
    image: str
    mask: str


@dataclass(frozen=True)
class Listing:
    """What was found. `missing` says in words which image has no mask, and which mask no image."""

    pairs: tuple[Pair, ...]
    missing: tuple[str, ...]


def list_pairs(root: Path, files: SplitFiles) -> Listing:
    """Look at the folder; no file is opened but the list.

    Globs give pairs sorted by name; a list keeps its order. Hidden files (`._x.png`) are passed over.

    Raises:
        DataError: a path leaves the root, a name stands twice or cannot be written on one line.
    """
    for pattern in (files.images, files.masks, files.stems_file):
        _check_inside(pattern)
    if files.stems_file:
        return _by_list(root, files)
    images, masks = _by_glob(root, files.images), _by_glob(root, files.masks)
    pairs = tuple(Pair(name, images[name], masks[name]) for name in sorted(images.keys() & masks.keys()))
    lonely = [f"{images[name]} has no mask" for name in sorted(images.keys() - masks.keys())]
    lonely += [f"{masks[name]} has no image" for name in sorted(masks.keys() - images.keys())]
    return Listing(pairs, tuple(lonely))


def _by_glob(root: Path, pattern: str) -> dict[str, str]:
    """Name -> path. The name is what the wildcards matched, so that `x_image.png` pairs with `x_mask.png`."""
    expression = _expression(pattern)
    fence = _Fence(root)
    found: dict[str, str] = {}
    # pathlib's ** does not enter links to folders, so a loop of links ends.
    for path in root.glob(pattern):
        relative = path.relative_to(root).as_posix()
        match = expression.fullmatch(relative)
        if match is None or any(part.startswith(".") for part in PurePosixPath(relative).parts):
            continue
        name = "/".join(group.strip("/") for group in match.groups() if group.strip("/"))
        _check_name(name, relative)
        fence.check(path)
        if name in found:
            raise DataError(
                f'{found[name]} and {relative} are both "{name}"',
                wanted="one file per name",
                fix=f'make the pattern "{pattern}" narrower',
            )
        found[name] = relative
        if len(found) > MAX_FILES:
            raise DataError(f'the pattern "{pattern}" matches over {MAX_FILES} files', wanted="fewer")
    return found


def _expression(pattern: str) -> re.Pattern[str]:
    """A glob as an expression with a group per wildcard. The extension stays outside the groups."""
    folder, slash, last = pattern.rpartition("/")
    stem, dot, extension = last.rpartition(".")
    if not dot or not stem:
        stem, dot, extension = last, "", ""
    body = _translate(folder + slash + stem, "(", ")")
    if dot:
        return re.compile(body + r"\." + _translate(extension, "(?:", ")"), re.DOTALL)
    if body.endswith("([^/]*)"):  # `images/*`: leave the extension to the ending
        body = body[: -len("*)")] + "*?)"
    return re.compile(body + r"(?:\.[^./]*)?", re.DOTALL)


def _translate(glob: str, opening: str, closing: str) -> str:
    parts = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = ""
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", glob, re.DOTALL):
        if len(token) > 2 and token[0] == "[":
            inside = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
            inside = "^" + inside[1:] if inside[0] == "!" else inside.replace("^", r"\^")
            text += f"{opening}[{inside}]{closing}"
        else:
            text += f"{opening}{parts[token]}{closing}" if token in parts else re.escape(token)
    return text


def _by_list(root: Path, files: SplitFiles) -> Listing:
    path = root / files.stems_file
    fence = _Fence(root)
    fence.check(path)
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise DataError(f"{path} is over {MAX_LIST_BYTES} bytes", wanted="one stem per line")
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list {path} cannot be read: {error}", wanted="a text file") from error
    pairs: dict[str, Pair] = {}
    missing: list[str] = []
    for number, line in enumerate(lines, start=1):
        stem = line.strip()
        if not stem:
            continue
        where = f"{path}, line {number}"
        _check_name(stem, where)
        _check_inside(stem)
        if stem in pairs:
            raise DataError(f'{where}: "{stem}" stands twice', wanted="each stem once")
        pair = Pair(stem, files.images.replace("{}", stem), files.masks.replace("{}", stem))
        pairs[stem] = pair
        for file, kind in ((pair.image, "image"), (pair.mask, "mask")):
            if (root / file).exists():
                fence.check(root / file)
            else:
                missing.append(f"{stem} has no {kind}: there is no {file}")
    return Listing(tuple(pairs.values()), tuple(missing))


class _Fence:
    """Refuses what a link leads out of the root. Folders are resolved once each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inside: set[Path] = set()

    def check(self, path: Path) -> None:
        if path.parent in self.inside and not path.is_symlink():
            return
        for place in (path.parent, path):
            try:
                target = place.resolve()
            except (OSError, RuntimeError) as error:  # a link that leads to itself
                raise DataError(f"{place} cannot be followed: {error}", wanted="a file") from error
            if not target.is_relative_to(self.root):
                raise DataError(
                    f"{place} is a link that leaves the root {self.root}",
                    wanted="files inside the root",
                    fix=f"set root to a folder that holds {target} too, and write the patterns from there",
                )
        self.inside.add(path.parent)


def _check_inside(pattern: str) -> None:
    parts = PurePosixPath(pattern).parts
    if ".." in parts or pattern.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", pattern):
        raise DataError(f'the path "{pattern[:200]}" leaves the root', wanted="a path inside the root, without ..")


def _check_name(name: str, where: str) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        raise DataError(
            f"the name in {where!r} has a line break, another control character or bytes that are not UTF-8",
            wanted="names that fit on one line",
            fix="rename the file",
        )
