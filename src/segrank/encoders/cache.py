"""Which published weights are on this machine. No torch, no timm, no network."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import try_to_load_from_cache

FILENAMES = ("model.safetensors", "pytorch_model.bin")
"""Of weights in timm's own repositories, in the order in which they are taken."""


def cached_weights(repository: str | None) -> Path | None:
    """The weights of a repository in the Hugging Face cache ($HF_HUB_CACHE, $HF_HOME); None if they are not there.

    Args:
        repository: `owner/name`; None for weights that are not on the hub.
    """
    if repository is None:
        return None
    for filename in FILENAMES:
        found = try_to_load_from_cache(repository, filename)
        # a download that was cut leaves a link to nothing
        if isinstance(found, str) and Path(found).is_file():
            return Path(found)
    return None
