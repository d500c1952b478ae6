"""Where a dataset lies: its archives or the same unpacked, in the data folder or in one of its name there."""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segrank.data.globs import shown
from segrank.data.official.official import Official, Part
from segrank.errors import DataError

ROOT_VARIABLE = "SEGRANK_DATA"
_UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".tmp", ".aria2", ".filepart")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", *_UNFINISHED)
_MAX_ENTRIES = 10_000
"""Of a folder that is looked through for near misses."""


@dataclass(frozen=True)
class Found:
    """What was found of one part. An archive is preferred: its checksums tell damage, a folder may be half unpacked."""

    part: Part
    archive: Path | None
    folder: Path | None
    """The folder under which `part.unpacked` is."""

    @property
    def missing(self) -> bool:
        return self.archive is None and self.folder is None


def data_root(root: str | os.PathLike[str] | None) -> Path | None:
    """The folder to look in: the one given, else $SEGRANK_DATA, else none. Absolute."""
    given = os.fspath(root) if root is not None else os.environ.get(ROOT_VARIABLE, "")
    return Path(given).expanduser().absolute() if given else None


def places(official: Official, root: Path) -> tuple[Path, ...]:
    """Folders in the root that go by the dataset's name, in capitals or not, then the root itself.

    Raises:
        DataError: the root is no folder.
    """
    name = official.definition.name
    try:
        own = [path for path in root.iterdir() if path.name.casefold() == name]
    except OSError as error:
        raise DataError(
            f"{root} cannot be looked through: {error.strerror}",
            wanted="the folder that holds the archives of datasets",
            fix=f"check --root (root= in Python) or ${ROOT_VARIABLE}",
        ) from error
    return *sorted(path for path in own if path.is_dir()), root


def look_for(parts: Sequence[Part], where: Sequence[Path]) -> tuple[Found, ...]:
    """What there is of each part."""
    return tuple(
        Found(
            part,
            next((place / name for place in where for name in part.archives if (place / name).is_file()), None),
            next((place for place in where if (place / part.unpacked).exists()), None),
        )
        for part in parts
    )


def sources(found: Sequence[Found]) -> tuple[Path, ...]:
    """Archives and folders to read together: archives if all are there, else folders if all are, else some of each."""
    archives, folders = [one.archive for one in found], [one.folder for one in found]
    either = [archive or folder for archive, folder in zip(archives, folders, strict=True)]
    chosen = next((paths for paths in (archives, folders) if None not in paths), either)
    return tuple(dict.fromkeys(path for path in chosen if path is not None))


def missing_error(
    official: Official, found: Sequence[Found], where: Sequence[Path], *, archives_only: bool
) -> DataError:
    """Which archives are not there, what there is instead, and where to get them."""
    lacking = [one.part for one in found if one.missing]
    name = official.definition.name
    whole = name if len(lacking) == len(found) else f"{len(lacking)} of {len(found)} parts of {name}"
    other_names = ", ".join(dict.fromkeys(other for part in lacking for other in part.archives[1:]))
    unpacked = f", or unpacked: {', '.join(list(dict.fromkeys(part.unpacked for part in lacking))[:4])}"
    if archives_only:
        unpacked = "; unpacked, parts cannot be told from one another"
    lines = [
        f"{whole} not found in {' or '.join(str(place) for place in where)}",
        f"there is no {', '.join(part.archives[0] for part in lacking)}",
        *near_misses(official, lacking, where),
    ]
    return DataError(
        "; ".join(lines),
        wanted=f"archives of these names{' or ' * bool(other_names)}{other_names}{unpacked}",
        fix=f"get them from {official.card.home}; licence: {official.card.licence}",
    )


def near_misses(official: Official, lacking: Sequence[Part], where: Sequence[Path]) -> list[str]:
    """What lies there and may be meant, in words."""
    known = {name for part in official.parts for name in part.archives}
    lines: dict[str, None] = {}
    for place in where:
        with os.scandir(place) as entries:
            there = sorted(entry.name for entry in itertools.islice(entries, _MAX_ENTRIES) if entry.name not in known)
        for part, name in ((part, name) for part in lacking for name in there):
            if not any(_resembles(name, archive) for archive in part.archives):
                continue
            if name.casefold().endswith(_UNFINISHED):
                lines[f"{shown(str(place / name))} is a download that did not finish"] = None
            elif (place / name).is_file():
                lines[f"{shown(str(place / name))} has another name"] = None
    for part, place in ((part, place) for part in lacking for place in where):
        for above in place.parents[:3]:
            if place.is_relative_to(above / part.unpacked.split("/")[0]) and (above / part.unpacked).exists():
                lines[f"but {above} holds {part.unpacked}: give --root {above}"] = None
    return list(lines)[:6]


def _resembles(name: str, archive: str) -> bool:
    name, archive = name.casefold(), archive.casefold()
    if name.startswith(archive.split(".zip")[0].split(".tar")[0]):
        return True
    return name.endswith(_ARCHIVES) and difflib.SequenceMatcher(None, name, archive).ratio() >= 0.85
