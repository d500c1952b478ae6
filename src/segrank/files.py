"""Files as the rest of segrank wants them: YAML read strictly, writes that are all or nothing, digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from segrank.errors import SpecError

MAX_YAML_BYTES = 4 * 2**20
MAX_YAML_DEPTH = 32


def parse_yaml(text: str, source: str = "the text") -> Any:
    """Read YAML 1.2 (`1e-4` is a number, `no` is a word); a duplicate key, a tag or an alias is an error.

    Aliases are refused because a few hundred bytes of nested ones expand to gigabytes, deep nesting because
    parsing it takes quadratic time.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > MAX_YAML_DEPTH:
                raise SpecError(f"{source} is not the YAML that segrank reads: nested over {MAX_YAML_DEPTH} deep")
            if isinstance(event, AliasEvent):
                raise SpecError(f"{source} uses a YAML alias (*name)", fix="write the value out")
        return yaml.load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())[:400]
        raise SpecError(f"{source} is not the YAML that segrank reads: {problem}") from error


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping in a YAML file of at most 4 MiB."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise SpecError(f"{path} is over {MAX_YAML_BYTES} bytes", wanted="a YAML file written by a person")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"there is no file {path}", fix="check the path; it is relative to where you are") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read as text: {error}") from error
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict):
        raise SpecError(f"{path} holds a {type(content).__name__}", wanted="a mapping of keys to values")
    return content


def digest(data: bytes | str | Path) -> str:
    """sha256 in hex of bytes, of a text, or of a file's content (read in blocks)."""
    if isinstance(data, Path):
        with data.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text. NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def fsync_folder(folder: Path) -> None:
    """Make a rename or link in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Faithful:
    """A binary file that remembers why a write failed.

    Writers in C++ (torch.save) turn the OSError of a full disk into some other error.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        view = memoryview(data).cast("B")
        try:
            written = 0
            while written < len(view):  # an unbuffered file may take a part only
                written += self._file.write(view[written:])
        except OSError as error:
            self.error = error
            raise
        return len(view)

    def flush(self) -> None:
        pass


@contextlib.contextmanager
def whole_file(path: Path, *, exclusive: bool = False) -> Iterator[BinaryIO]:
    """Write `path` whole or not at all: temporary name, fsync, then rename (or, if exclusive, link).

    The file offers `write` and `flush`, and takes no seeking.

    Raises:
        OSError: as the disk said it, whatever the writer made of it.
        FileExistsError: if `exclusive` and the path is already there.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("xb", buffering=0) as file:
            faithful = _Faithful(file)
            try:
                yield cast(BinaryIO, faithful)
            except Exception as error:
                if faithful.error is not None and error is not faithful.error:
                    raise faithful.error from error
                raise
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)
        else:
            temporary.replace(path)
        fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str, *, exclusive: bool = False) -> None:
    """`whole_file` for content at hand."""
    with whole_file(path, exclusive=exclusive) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """`did you mean "steps"?`, or an empty text when nothing is near."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""
