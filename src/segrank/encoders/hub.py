"""A publisher's files: in the Hugging Face cache, else on the hub. No torch, no timm."""

from __future__ import annotations

import errno
import re
import shlex
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from segrank.cards import Card
from segrank.errors import WeightsError

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

REACH_S = 10.0
"""How long the hub may take to answer at all. Its own client retries for minutes when nobody answers."""
TIMM_FILENAMES = ("model.safetensors", "pytorch_model.bin")
"""Of weights in timm's own repositories, in the order in which they are taken."""

_SAFE = {
    "pytorch_model.bin": "model.safetensors",
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
T = TypeVar("T")


class HubFile(NamedTuple):
    """A file that an encoder needs: the first of these names that its repository on the hub has."""

    encoder: str
    """The reference, for errors."""
    repository: str
    """`owner/name`."""
    filenames: tuple[str, ...]
    """In order of preference."""
    revision: str = ""
    """Empty for the main one."""


def card_file(card: Card) -> HubFile | None:
    """The weights that a card is of; None if they are not on the hub."""
    return HubFile(card.reference, card.repository, TIMM_FILENAMES) if card.repository else None


def timm_file(config: PretrainedCfg, name: str) -> HubFile:
    """The weights of a timm model; safetensors where the publisher has them.

    Raises:
        WeightsError: timm names none on the hub.
    """
    if not config.hf_hub_id:
        raise WeightsError(
            f"timm has no weights on the Hugging Face hub for {name}" + (f", only {config.url}" if config.url else ""),
            fix="use --weights FILE with a file of your own, weights=random, or another tag",
        )
    repository, _, revision = config.hf_hub_id.partition("@")
    plain = config.hf_hub_filename or TIMM_FILENAMES[-1]
    safe = _SAFE.get(plain, re.sub(r"\.bin$", ".safetensors", plain))
    return HubFile(f"timm:{name}", repository, tuple(dict.fromkeys((safe, plain))), revision)


def cached(file: HubFile | None) -> Path | None:
    """Where it lies in the Hugging Face cache ($HF_HUB_CACHE, $HF_HOME); None if it does not.

    Raises:
        WeightsError: the repository's name cannot be one.
    """
    if file is None:
        return None
    for filename in file.filenames:
        try:
            found = try_to_load_from_cache(file.repository, filename, revision=file.revision or None)
        except HFValidationError as error:
            raise WeightsError(f'"{file.repository[:120]}" is no name of a repository', wanted="owner/name") from error
        # a download that was cut leaves a link to nothing
        if isinstance(found, str) and Path(found).is_file():
            return Path(found)
    return None


def obtain(file: HubFile) -> Path:
    """From the cache, else downloaded.

    Raises:
        WeightsError: it is not in the cache, and the hub does not have it, does not give it or does not answer.
    """
    here = cached(file)
    if here is None:
        check_reachable(file)
        here = download(file)
    return here


def check_reachable(file: HubFile) -> None:
    """Raises WeightsError if the hub is not to be asked, or does not answer."""
    if constants.HF_HUB_OFFLINE:
        raise _missing(file, "HF_HUB_OFFLINE is set")
    request = urllib.request.Request(_url(file, file.filenames[0]), method="HEAD")  # noqa: S310  the user's HF_ENDPOINT
    try:
        with urllib.request.urlopen(request, timeout=REACH_S):  # noqa: S310
            pass
    except urllib.error.HTTPError:
        pass  # somebody answers
    except (OSError, ValueError) as error:
        raise _missing(file, f"{constants.ENDPOINT} cannot be reached ({str(error)[:200]})") from error


def size_on_hub(file: HubFile) -> tuple[str, int | None]:
    """The name that it has on the hub, and how many bytes it is; None if the hub does not say.

    Raises:
        WeightsError: as `download`.
    """

    def size(filename: str) -> tuple[str, int | None]:
        return filename, get_hf_file_metadata(_url(file, filename), timeout=REACH_S).size

    return _of_first_there(file, size)


def download(file: HubFile) -> Path:
    """Into the cache. A connection that breaks is taken up again where it broke, as the hub's client does it.

    Raises:
        WeightsError: the hub does not have it or does not give it, or the disk is full.
    """

    def get(filename: str) -> Path:
        return Path(
            str(hf_hub_download(file.repository, filename, revision=file.revision or None, etag_timeout=REACH_S))
        )

    return _of_first_there(file, get)


def _url(file: HubFile, filename: str) -> str:
    return hf_hub_url(file.repository, filename, revision=file.revision or None)


def _of_first_there(file: HubFile, ask: Callable[[str], T]) -> T:
    for filename in file.filenames:
        try:
            return ask(filename)
        except LocalEntryNotFoundError as error:
            raise _missing(file, "the connection to the hub was lost") from error
        except EntryNotFoundError:  # the publisher has no such file
            continue
        except Exception as error:  # of the hub, of its HTTP library, of the disk
            raise _refused(file, error) from error
    raise _missing(file, f"the hub has no {' or '.join(file.filenames)}")


def _refused(file: HubFile, error: Exception) -> WeightsError:
    page = f"{constants.ENDPOINT}/{file.repository}"
    if isinstance(error, GatedRepoError):
        return WeightsError(
            f"{file.repository}, which has the weights of {file.encoder}, is gated: its publisher's terms have to be "
            "accepted first",
            fix=f"accept them at {page}, then give the token of that account with `hf auth login` or in $HF_TOKEN",
        )
    if isinstance(error, RepositoryNotFoundError):
        return WeightsError(
            f"the hub has no repository {file.repository} for {file.encoder}, or it is private",
            fix=f"look at {page}; if it is private, give a token with `hf auth login` or in $HF_TOKEN",
        )
    if isinstance(error, RevisionNotFoundError):
        return WeightsError(f"{file.repository} has no revision {file.revision[:80]}", fix=f"look at {page}")
    if isinstance(error, OSError) and error.errno in _FULL:
        return WeightsError(
            f"there is no space in {constants.HF_HUB_CACHE} for the weights of {file.encoder}",
            fix="free some, or put $HF_HOME on a larger disk",
        )
    return _missing(file, f"the hub says: {' '.join(str(error).split())[:300] or type(error).__name__}")


def _missing(file: HubFile, reason: str) -> WeightsError:
    cache = constants.HF_HUB_CACHE
    return WeightsError(
        f"the weights of {file.encoder} ({file.repository}) are not in the cache {cache}, and {reason}",
        fix="give them with --weights FILE, train from weights=random, or run "
        f"`segrank encoders fetch {shlex.quote(file.encoder)}` where there is a network and bring the cache over",
    )
