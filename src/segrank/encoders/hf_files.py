"""The files of a Hugging Face model: of a local folder, or of a repository on the hub. No torch, no transformers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segrank.encoders.hub import HubFile, cached, obtain
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
        download: what is not in the hub's cache. Otherwise it counts as missing.
    """

    name: str
    revision: str = ""
    download: bool = True

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
        try:
            path = self._file(*HF_PROCESSORS)
        except WeightsError as error:
            raise WeightsError(
                f"hf:{self.name} has no {' or '.join(HF_PROCESSORS)}, so the mean and std of its images are not known",
                fix="use normalisation=imagenet, or put the file beside the weights",
            ) from error
        return _statistics(read_hf_json(path), path)

    def weights(self) -> list[Path]:
        """The files with the weights: one, or several shards in alphabetical order.

        Raises:
            WeightsError: there are none as safetensors, or they cannot be had.
        """
        path = self._file(HF_WEIGHTS, HF_INDEX)
        return [path] if path.name == HF_WEIGHTS else [self._file(shard) for shard in hf_shards(path)]

    def on_hub(self, *names: str) -> HubFile:
        """The first of these files that the repository has."""
        return HubFile(f"hf:{self.name}", self.name, names, self.revision)

    def _file(self, *names: str) -> Path:
        folder = hf_folder(self.name)
        if folder is None:
            file = self.on_hub(*names)
            found = obtain(file) if self.download else cached(file)
            if found is None:
                raise WeightsError(f"hf:{self.name} has no {' or '.join(names)} in the hub's cache")
            return found
        for name in names:
            if (folder / name).is_file():
                return folder / name
        raise WeightsError(
            f"{folder} has no {' or '.join(names)}",
            wanted="config.json and model.safetensors, as save_pretrained writes them",
            fix="convert a .bin with save_pretrained" if HF_WEIGHTS in names else "",
        )


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
