"""Patterns of file names, such as `images/**/*.jpg`: what they match, and which ones are refused."""

from __future__ import annotations

import functools
import re
from pathlib import PurePosixPath

from segrank.errors import DataError

_TOKEN = re.compile(r"\*\*/|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)
_WILDCARDS = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}


def check_inside(path: str) -> None:
    """Raises DataError if a path or pattern leads out of the root that it starts from."""
    if ".." in PurePosixPath(path).parts or path.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", path):
        raise DataError(f'the path "{path[:200]}" leaves the root', wanted="a path inside the root, without ..")


@functools.lru_cache(maxsize=64)
def expression(pattern: str) -> re.Pattern[str]:
    """A glob as an expression with a group per wildcard. The extension stays outside the groups.

    Raises:
        DataError: the pattern leaves the root, or is not one.
    """
    check_inside(pattern)
    parts = pattern.split("/")
    if parts[-1] == "**" or any("**" in part and part != "**" for part in parts):
        raise DataError(
            f'the pattern "{pattern[:200]}" has a ** that is no folder of its own',
            wanted="** between two /, such as images/**/*.jpg",
        )
    folder, slash, last = pattern.rpartition("/")
    stem, dot, extension = last.rpartition(".")
    if not dot or not stem:
        stem, dot, extension = last, "", ""
    body = _translate(folder + slash + stem, "(", ")")
    if dot:
        body += r"\." + _translate(extension, "(?:", ")")
    else:
        if body.endswith("([^/]*)"):  # `images/*`: leave the extension to the ending
            body = body[: -len("*)")] + "*?)"
        body += r"(?:\.[^./]*)?"
    try:
        return re.compile(body, re.DOTALL)
    except re.error as error:
        raise DataError(f'the pattern "{pattern[:200]}" cannot be read: {error}', wanted="a glob") from error


def _translate(glob: str, opening: str, closing: str) -> str:
    text = ""
    for token in _TOKEN.findall(glob):
        if len(token) > 2 and token[0] == "[":
            inside = token[1:-1].replace("\\", r"\\").replace("[", r"\[")
            inside = "^" + inside[1:] if inside[0] == "!" else inside.replace("^", r"\^")
            text += f"{opening}(?!/)[{inside}]{closing}"
        else:
            text += f"{opening}{_WILDCARDS[token]}{closing}" if token in _WILDCARDS else re.escape(token)
    return text


def literal_start(pattern: str) -> str:
    """What every match begins with: the text before the first wildcard."""
    found = re.search(r"[*?\[]", pattern)
    return pattern[: found.start()] if found else pattern


def is_hidden(name: str) -> bool:
    """Whether a file or a folder above it has a leading dot, as what archivers leave behind has (`._x.png`)."""
    return name.startswith(".") or "/." in name


def shown(name: str) -> str:
    """A name for messages: as it is, or quoted where it holds control characters."""
    return name if name.isprintable() else repr(name)
