"""The files that an encoder reference and its weights name, and their digests. No torch; nobody's code is run."""

from __future__ import annotations

import difflib
import functools
import json
import re
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from segrank.cards import Card, card_of
from segrank.cards.own import card_beside
from segrank.encoders.small import small_weights
from segrank.errors import EncoderError, WeightsError
from segrank.files import digest
from segrank.spec import parse_reference

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".pth.tar")
"""Of weights files, in the order in which a folder is searched for them."""
HF_CONFIG = "config.json"
HF_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
HF_WEIGHTS = "model.safetensors"
HF_INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"[\w.\-]{1,200}\.safetensors")
_HF_JSON_BYTES = 16 << 20
"""More than any model's configuration or index of shards takes."""


def encoder_digests(encoder: str, weights: str) -> dict[str, str]:
    """What `identity` puts in the place of paths.

    Args:
        encoder: a reference, as in a spec.
        weights: `pretrained`, `random`, a file, or a folder with the encoder's file in it.

    Returns:
        `{"weights": "sha256:..."}` where weights are a file, also one that comes with segrank, and `{"encoder":
        "file:sha256:...:build?k=v"}` where the encoder is the user's own source. The digest covers that
        one source file, not what it imports. Of `hf:FOLDER` it covers the configuration, and the
        pretrained weights where these are asked for.

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
    elif scheme == "hf" and (folder := hf_folder(parse_reference(encoder).name)):
        digests["encoder"] = f"hf:sha256:{_folder_digest(folder, with_weights=weights == 'pretrained')}"
    if weights == "pretrained" and (own := small_weights(encoder)):
        digests["weights"] = f"sha256:{_file_digest(own)}"
    elif weights not in ("pretrained", "random"):
        digests["weights"] = f"sha256:{_file_digest(weights_file(weights, encoder))}"
    return digests


def weights_file(weights: str, encoder: str = "") -> Path:
    """The file that a spec's `weights` names; in a folder, the one that is called after the encoder.

    Args:
        weights: a file or a folder.
        encoder: a reference; without one, a folder will not do.

    Raises:
        WeightsError: it is not there, or is no regular file; the folder has none for this encoder.
    """
    path = Path(weights)
    try:
        if path.is_file():
            return path
        if path.is_dir() and encoder:
            return _in_folder(path, encoder)
        found = f"the weights {weights[:400]} are a folder" if path.is_dir() else ""
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero byte
        found = f"the weights {weights[:400]!r} cannot be opened: {error}"
    raise WeightsError(
        found or f"there is no weights file {weights[:400]}",
        wanted="pretrained, random, a file, or a folder of files called after their encoders",
        fix="check the path; it is relative to where you are, or to the YAML file that names it",
    )


def weights_names(encoder: str) -> list[str]:
    """What an encoder's file in a folder of weights may be called, without suffix.

    The name in its reference (`vit_base_patch16_224.mae`; of `hf:owner/name` the name, of `file:model.py:build` and
    `python:package.module:build` that of the module), then those of its card: timm's with tag, segrank's own.
    """
    scheme, name, _ = parse_reference(encoder)
    if scheme in ("file", "python"):
        place = name.rpartition(":")[0]
        name = Path(place).stem if scheme == "file" else place.rpartition(".")[2]
    names = [name.rstrip("/").rpartition("/")[2]]
    if card := card_of(f"{scheme}:{name}"):
        names += [card.timm, card.name]
    return list(dict.fromkeys(names))


def card_of_weights(encoder: str, weights: str) -> Card | None:
    """The card of what a spec names. A file has one if one lies beside it (`segrank.cards.own`), or if it is called as
    the card or timm, with the tag, call them.

    Raises:
        WeightsError: there is no such weights file, or what lies beside it is no card.
    """
    if weights == "pretrained" and (own := small_weights(encoder)):
        return card_beside(own)
    if weights in ("pretrained", "random"):
        return card_of(encoder, weights)
    file = weights_file(weights, encoder)
    if beside := card_beside(file):
        return beside
    card, name = card_of(encoder), file.name
    return card if card and name in (f"{known}{end}" for known in (card.timm, card.name) for end in SUFFIXES) else None


def _in_folder(folder: Path, encoder: str) -> Path:
    names = weights_names(encoder)
    for suffix in SUFFIXES:
        for name in names:
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
    there = sorted(path.name for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    near = [
        found for name in names for found in difflib.get_close_matches(f"{name}{SUFFIXES[0]}", there, n=2, cutoff=0.6)
    ]
    raise WeightsError(
        f"the folder {folder} has no weights of {encoder[:200]} among its {len(there)} weights files",
        wanted=f"{' or '.join(f'{name}{SUFFIXES[0]}' for name in names)} (or {', '.join(SUFFIXES[1:])})"[:600],
        fix=f"rename {' or '.join(dict.fromkeys(near))} if that is it, or give it as --weights FILE"[:600]
        if near
        else "put it there under that name",
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


def hf_folder(name: str) -> Path | None:
    """The folder that `hf:NAME` means; none if it is a repository's name."""
    try:
        return Path(name) if Path(name).is_dir() else None
    except OSError:  # longer than a path can be
        return None


def hf_shards(index: Path) -> list[str]:
    """The names of the files that an index of shards lists, in alphabetical order.

    Raises:
        WeightsError: it is no such index, or names files of other folders.
    """
    shards = read_hf_json(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(s, str) and _SHARD.fullmatch(s) for s in shards.values()):
        raise WeightsError(f"{index} is no index of shards", wanted="a weight_map to .safetensors files beside it")
    return sorted(set(shards.values()))


def read_hf_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model's folder.

    Raises:
        WeightsError: it is something else, or too large.
    """
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_HF_JSON_BYTES))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}", fix="check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is no JSON: {str(error)[:200]}", fix="get the file again") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a JSON {type(content).__name__}", wanted="an object")
    return content


def _folder_digest(folder: Path, *, with_weights: bool) -> str:
    names = [HF_CONFIG, *HF_PROCESSORS]
    if with_weights and (folder / HF_WEIGHTS).is_file():
        names.append(HF_WEIGHTS)
    elif with_weights and (folder / HF_INDEX).is_file():
        names += hf_shards(folder / HF_INDEX)
    found = [f"{name}:{_file_digest(folder / name)}" for name in names if (folder / name).is_file()]
    return digest("\n".join(found))


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
