"""What an encoder reference and its weights contain, as digests. No torch; no code of the user's is run."""

from __future__ import annotations

import functools
from importlib.machinery import PathFinder
from pathlib import Path

from segrank.errors import EncoderError, WeightsError
from segrank.files import digest
from segrank.spec import parse_reference


def encoder_digests(encoder: str, weights: str) -> dict[str, str]:
    """What `identity` puts in the place of paths.

    Args:
        encoder: a reference, as in a spec.
        weights: `pretrained`, `random` or a file.

    Returns:
        `{"weights": "sha256:..."}` where weights are a file, and `{"encoder":
        "file:sha256:...:build?k=v"}` where the encoder is the user's own source. The digest covers that
        one source file, not what it imports.

    Raises:
        EncoderError: there is no such source file. WeightsError: no such weights file.
    """
    digests = {}
    scheme, _, options = encoder.partition("?")
    scheme = scheme.partition(":")[0]
    if scheme in ("file", "python"):
        path, function = custom_source(encoder)
        query = f"?{options}" if options else ""
        digests["encoder"] = f"{scheme}:sha256:{_file_digest(path)}:{function}{query}"
    if weights not in ("pretrained", "random"):
        digests["weights"] = f"sha256:{_file_digest(weights_file(weights))}"
    return digests


def weights_file(weights: str) -> Path:
    """The file that a spec's `weights` names.

    Raises:
        WeightsError: it is not there, or is no regular file.
    """
    path = Path(weights)
    try:
        if path.is_file():
            return path
        found = f"the weights {weights[:400]} are a folder" if path.is_dir() else ""
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero byte
        found = f"the weights {weights[:400]!r} cannot be opened: {error}"
    raise WeightsError(
        found or f"there is no weights file {weights[:400]}",
        wanted="pretrained, random or a file",
        fix="check the path; it is relative to where you are, or to the YAML file that names it",
    )


def custom_source(encoder: str) -> tuple[Path, str]:
    """The source file and the function of `file:model.py:build` or `python:package.module:build`.

    Raises:
        EncoderError: there is no such file or module.
    """
    scheme, name, _ = parse_reference(encoder)
    place, _, function = name.rpartition(":")
    path = Path(place) if scheme == "file" else _module_file(place)
    if path is None or not path.is_file():
        what = "file" if scheme == "file" else "module with a source file"
        raise EncoderError(
            f"there is no {what} {place[:400]}, which the encoder {encoder[:400]} names",
            wanted="file:model.py:build or python:package.module:build",
            fix="check the path; it is relative to where you are"
            if scheme == "file"
            else "install the package, or put its folder on PYTHONPATH",
        )
    return path, function


def _module_file(module: str) -> Path | None:
    """Where a module's source lies, found without importing its packages."""
    search: list[str] | None = None
    spec = None
    parts = module.split(".")
    for depth in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: depth + 1]), search)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _file_digest(path: Path) -> str:
    try:
        status = path.stat()
        return _cached_digest(path.resolve(), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}", fix="check its permissions") from error


@functools.lru_cache(maxsize=256)
def _cached_digest(path: Path, size: int, mtime_ns: int) -> str:
    # a study names one file of gigabytes in many specs; an edit changes its size or its time
    return digest(path)
