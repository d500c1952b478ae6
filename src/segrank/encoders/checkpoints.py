"""Read a weights file: tensors by name, whoever wrote it. Nothing in the file is ever run."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from segrank.encoders.reference import weights_file
from segrank.errors import WeightsError
from segrank.files import digest

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "teacher", "module", "encoder")
"""Where training programs put a model's weights in a checkpoint; the first of these that is there counts,
and so on inside it. The exponential moving average comes first, as in timm; `teacher` is DINO's, `module`
EVA's, `encoder` I-JEPA's."""

PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")
"""Taken off the front of names, in this order: torch.compile's, DataParallel's, torch.compile's in that."""

_RESAVE = (
    "get the weights as safetensors; or, if you trust the file's author, load it yourself with torch.load "
    "and write its tensors with safetensors.torch.save_file"
)
_AGAIN = "get the file again, and compare its size and checksum with the publisher's"


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of a safetensors file or a torch checkpoint (.pt, .pth, .bin; new or legacy), on the CPU.

    The format is told by content; only what is called .safetensors is read as nothing else. Checkpoints
    are read with torch's restricted unpickler, which builds tensors and containers and calls nothing
    else, then freed of `WRAPPERS` and `PREFIXES`.

    Returns:
        tensors by name, in the types of the file, and the file's sha256 in hex.

    Raises:
        WeightsError: the file is missing, damaged, holds code or anything else than tensors.
    """
    path = weights_file(str(path))
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
        sha256 = digest(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}", fix="check its permissions") from error
    if not head:
        raise WeightsError(f"{path} is empty", wanted="a weights file", fix=_AGAIN)
    if path.suffix == ".safetensors" or _is_safetensors(head, size):
        return _unwrapped(_read_safetensors(path), path), sha256
    if head.startswith(b"PK\x03\x04"):
        _check_archive(path)
        return _unwrapped(_read_torch(path, mmap=True), path), sha256
    if head.startswith(b"\x80"):  # a pickle of protocol 2 or later: torch before 1.6, or no torch file at all
        return _unwrapped(_read_torch(path, mmap=False), path), sha256
    lfs = head.startswith(b"version https://git-lfs")
    raise WeightsError(
        f"{path} is a Git LFS pointer" if lfs else f"{path} begins with {head[:16]!r}",
        wanted="safetensors, or a torch checkpoint (.pt, .pth, .bin)",
        fix="fetch the file itself with git lfs pull" if lfs else _AGAIN,
    )


def _is_safetensors(head: bytes, size: int) -> bool:
    # 8 bytes: length of a JSON header, little-endian; then that header
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path, device="cpu")
    except Exception as error:  # SafetensorError, or a dtype that this torch does not know
        raise WeightsError(
            f"{path} is a damaged safetensors file: {_short(error)}", wanted="a whole one", fix=_AGAIN
        ) from error


def _check_archive(path: Path) -> None:
    """torch writes its zip entries uncompressed; compressed ones could unpack to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            odd = next((e for e in archive.infolist() if e.compress_type != zipfile.ZIP_STORED), None)
    except Exception as error:  # zipfile raises many kinds over damaged directories
        raise WeightsError(
            f"{path} is a damaged or cut off checkpoint: {_short(error)}", wanted="a whole one", fix=_AGAIN
        ) from error
    if odd is not None:
        raise WeightsError(
            f"{path} holds a compressed entry, {odd.filename[:80]!r}",
            wanted="a checkpoint as torch.save writes it",
            fix=_AGAIN,
        )


def _read_torch(path: Path, *, mmap: bool) -> Any:
    try:
        # written out: left out, TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 would run what the file says. A
        # Namespace is plain data, which training scripts like to put beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds code or objects that are not tensors, and was not loaded: {_short(error)}",
            wanted="tensors only",
            fix=_RESAVE,
        ) from error
    except Exception as error:  # a damaged pickle can fail in any way at all
        raise WeightsError(
            f"{path} is damaged, or no checkpoint of tensors: {_short(error)}",
            wanted="a whole one",
            fix=_AGAIN,
        ) from error


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """The dict of tensors inside a checkpoint, under the names that the model itself uses."""
    for _ in range(len(WRAPPERS)):
        inner = next((key for key in WRAPPERS if _is_dict(content) and _is_dict(content.get(key))), None)
        if inner is None:
            break
        content = content[inner]
    if not _is_dict(content) or not content:
        kind = "an empty dict" if _is_dict(content) else f"a {type(content).__name__}"
        raise WeightsError(f"{path} holds {kind}", wanted="a dict of tensors by name", fix=_RESAVE)
    tensors: dict[str, Tensor] = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise WeightsError(
                f"{path} holds a {type(value).__name__} at {str(key)[:80]!r}",
                wanted=f"tensors by name, alone or at one of the keys {', '.join(WRAPPERS)}",
                fix=_RESAVE,
            )
        name = key
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        if name in tensors:
            raise WeightsError(
                f"{path} holds {name[:80]!r} twice, once as {key[:80]!r}",
                wanted="one model's weights",
                fix=_RESAVE,
            )
        tensors[name] = value.detach()
    return tensors


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _short(error: Exception) -> str:
    """An error in one line of 300 characters at most, without torch's advice to switch weights_only off."""
    text = " ".join(str(error).split()) or type(error).__name__
    _, found, reason = text.partition("WeightsUnpickler error: ")
    return (reason.partition("Please use")[0] if found else text)[:300].strip()
