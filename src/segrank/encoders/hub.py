"""Find a publisher's files: in the Hugging Face cache, else on the hub."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

from segrank.errors import WeightsError

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

REACH_S = 10.0
"""How long the hub may take to answer at all. Its own client retries for minutes when nobody answers."""

_SAFE = {
    "pytorch_model.bin": "model.safetensors",
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
}


def pretrained_file(config: PretrainedCfg, name: str) -> Path:
    """The weights file of a timm model, downloaded if need be; safetensors where the publisher has them.

    Raises:
        WeightsError: timm names none on the hub, or they are not in the cache and the hub does not answer.
    """
    if not config.hf_hub_id:
        raise WeightsError(
            f"timm has no weights on the Hugging Face hub for {name}" + (f", only {config.url}" if config.url else ""),
            fix="use --weights FILE with a file of your own, weights=random, or another tag",
        )
    repository, _, revision = config.hf_hub_id.partition("@")
    plain = config.hf_hub_filename or "pytorch_model.bin"  # timm's own default
    safe = _SAFE.get(plain, re.sub(r"\.bin$", ".safetensors", plain))
    return repository_file(repository, [safe, plain], revision=revision, name=name)


def repository_file(repository: str, filenames: list[str], *, revision: str, name: str) -> Path:
    """The first of these files that a repository on the hub has: from the cache, else downloaded.

    Args:
        repository: `owner/name`.
        filenames: in order of preference.
        revision: empty for the main one.
        name: how errors call the encoder.

    Raises:
        WeightsError: they are not in the cache, and the hub has none of them or does not answer.
    """
    candidates = list(dict.fromkeys(filenames))
    for filename in candidates:
        try:
            return _get(repository, filename, revision, local=True)
        except LocalEntryNotFoundError:
            continue
        except HFValidationError as error:
            raise WeightsError(f'"{repository[:120]}" is no name of a repository', wanted="owner/name") from error
    if constants.HF_HUB_OFFLINE:
        raise _missing(name, repository, "HF_HUB_OFFLINE is set")
    if reason := _unreachable(f"{constants.ENDPOINT}/{repository}/resolve/main/{candidates[0]}"):
        raise _missing(name, repository, f"{constants.ENDPOINT} cannot be reached ({reason})")
    for filename in candidates:
        try:
            return _get(repository, filename, revision, local=False)
        except LocalEntryNotFoundError as error:
            raise _missing(name, repository, "the connection to the hub was lost") from error
        except EntryNotFoundError:  # the publisher has no such file
            continue
        except Exception as error:  # gated or withdrawn repository, HTTP errors, a full disk
            reason = " ".join(str(error).split())[:300]
            raise _missing(name, repository, f"the hub says: {reason}") from error
    raise _missing(name, repository, f"the hub has no {' or '.join(candidates)}")


def _get(repository: str, filename: str, revision: str, *, local: bool) -> Path:
    path = hf_hub_download(
        repository, filename, revision=revision or None, local_files_only=local, etag_timeout=REACH_S
    )
    return Path(str(path))


def _unreachable(url: str) -> str:
    """Why nobody answers there; empty if somebody does, be it with an error."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  the user's own HF_ENDPOINT
    try:
        with urllib.request.urlopen(request, timeout=REACH_S):  # noqa: S310
            return ""
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError) as error:
        return str(error)[:200]


def _missing(name: str, repository: str, reason: str) -> WeightsError:
    return WeightsError(
        f"the weights of {name} ({repository}) are not in the cache {constants.HF_HUB_CACHE}, and {reason}",
        fix=f"give a file with --weights FILE, train from weights=random, or run `hf download {repository}` "
        "where there is a network and bring the cache over",
    )
