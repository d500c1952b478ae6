"""The files of a Hugging Face model: of a local folder, or of a repository on the hub. No transformers here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from segrank.encoders.checkpoints import read_weights
from segrank.encoders.hub import repository_file
from segrank.encoders.reference import (
    HF_CONFIG,
    HF_INDEX,
    HF_PROCESSORS,
    HF_WEIGHTS,
    hf_folder,
    hf_shards,
    read_hf_json,
)
from segrank.errors import WeightsError


@dataclass(frozen=True)
class HfFiles:
    """Where a model's files are had from.

    Args:
        name: a folder, or `owner/name` on the hub.
        revision: of the repository; empty for the main one.
    """

    name: str
    revision: str = ""

    def config(self) -> Path:
        """config.json, which says what the model is.

        Raises:
            WeightsError: there is none, or it cannot be had.
        """
        return self._file(HF_CONFIG)

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of the images, in 0..1, as the model's preprocessor has them.

        Raises:
            WeightsError: it has no preprocessor, or one that wants images in another range.
        """
        for name in HF_PROCESSORS:
            try:
                path = self._file(name)
            except WeightsError:
                continue
            return _statistics(read_hf_json(path), path)
        raise WeightsError(
            f"hf:{self.name} has no {' or '.join(HF_PROCESSORS)}, so the mean and std of its images are not known",
            fix="use normalisation=imagenet, or put the file beside the weights",
        )

    def tensors(self) -> tuple[dict[str, Tensor], str]:
        """The weights by name, and their sha256; of several shards, the sha256 of their hexadecimal ones in order.

        Raises:
            WeightsError: there are none as safetensors, or they are damaged.
        """
        try:
            return read_weights(self._file(HF_WEIGHTS))
        except WeightsError as error:
            try:
                index = self._file(HF_INDEX)
            except WeightsError:
                raise error from None
        tensors: dict[str, Tensor] = {}
        digests = []
        for shard in hf_shards(index):
            part, sha256 = read_weights(self._file(shard))
            tensors |= part
            digests.append(sha256)
        return tensors, hashlib.sha256("".join(digests).encode()).hexdigest()

    def _file(self, name: str) -> Path:
        folder = hf_folder(self.name)
        if folder is None:
            return repository_file(self.name, [name], revision=self.revision, name=f"hf:{self.name}")
        if not (folder / name).is_file():
            raise WeightsError(
                f"{folder} has no {name}",
                wanted="config.json and model.safetensors, as save_pretrained writes them",
                fix="convert a .bin with save_pretrained" if name == HF_WEIGHTS else "",
            )
        return folder / name


def _statistics(content: dict[str, Any], path: Path) -> tuple[list[float], list[float]]:
    content = content.get("image_processor", content)  # where processor_config.json has it
    if not content.get("do_normalize", True):
        mean, std = [0.0] * 3, [1.0] * 3
    else:
        mean, std = content.get("image_mean", []), content.get("image_std", [])
    numbers = [*mean, *std] if isinstance(mean, list) and isinstance(std, list) else []
    scaled = content.get("do_rescale", True) and abs(content.get("rescale_factor", 1 / 255) * 255 - 1) < 1e-6
    if len(numbers) != 6 or not all(isinstance(n, int | float) for n in numbers) or min(std) <= 0 or not scaled:
        found = json.dumps({key: content.get(key) for key in ("image_mean", "image_std", "rescale_factor")})
        raise WeightsError(
            f"{path} says {found[:200]}",
            wanted="image_mean and image_std, three numbers each, for images in 0..1",
            fix="use normalisation=imagenet, or correct the file",
        )
    return mean, std
