"""`scenes`: labelled pictures that are drawn on demand, so that a whole study runs without any download.

A reference is `scenes?look=dusk&size=96x128&train=512&val=64&seed=0`; every option may be left out. Sixteen
classes: five of land and sky, eleven of objects. A picture depends on (seed, split, index) and look alone.
`shift` holds the scenes of `val` in the other look: same labels, other palette, light and noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from segrank.data.dataset import Sample
from segrank.data.scene_drawing import CLASSES, LOOKS, draw
from segrank.errors import DataError
from segrank.files import canonical_json, digest, nearest
from segrank.spec import Crop, spec_error

GENERATOR = 1
"""Part of the digest; raised whenever a change makes other pictures of the same options."""

SPLITS = ("train", "val", "shift")
Count = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]


class SceneOptions(BaseModel):
    """The options of a `scenes` reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    look: Literal["day", "dusk"] = "day"
    """Of train and val; shift has the other one."""
    size: Crop = (96, 96)
    """Height and width, pixels: `96` or `96x128`."""
    train: Count = 512
    """Pictures in train."""
    val: Count = 64
    """Pictures in val, and in shift."""
    seed: int = Field(default=0, strict=True, ge=0, le=2**32 - 1)

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: tuple[int, int]) -> tuple[int, int]:
        if not (min(size) >= 16 and max(size) <= 4096):
            raise ValueError(f"{size[0]}x{size[1]} is not between 16 and 4096 pixels a side")
        return size


@dataclass(frozen=True)
class SceneSplit:
    """Scenes number 0 to n-1 of one split."""

    options: SceneOptions
    split_name: str

    @property
    def names(self) -> Sequence[str]:
        return [f"{self.split_name}-{index:06d}" for index in range(len(self))]

    def __len__(self) -> int:
        return self.options.train if self.split_name == "train" else self.options.val

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.split_name} has scenes 0 to {len(self) - 1}, not {index}")
        look = self._look()
        # shift draws the layouts of val again.
        layout_of = 0 if self.split_name == "train" else 1
        seeds = [self.options.seed, layout_of, index]
        layout = np.random.Generator(np.random.Philox(np.random.SeedSequence(seeds)))
        style = np.random.Generator(np.random.Philox(np.random.SeedSequence([*seeds, 1 + list(LOOKS).index(look)])))
        image, labels = draw(*self.options.size, layout, style, LOOKS[look])
        return Sample(
            image,
            labels,
            f"{self.split_name}-{index:06d}",
            single_valued=bool((labels == labels[0, 0]).all()),
        )

    def digest(self) -> str:
        content = {
            "generator": GENERATOR,
            "classes": CLASSES,
            "layout": "train" if self.split_name == "train" else "val",
            "look": self._look(),
            "size": self.options.size,
            "count": len(self),
            "seed": self.options.seed,
        }
        return f"sha256:{digest(canonical_json(content))}"

    def _look(self) -> str:
        if self.split_name != "shift":
            return self.options.look
        return "day" if self.options.look == "dusk" else "dusk"


@dataclass(frozen=True)
class SceneDataset:
    """Generated scenes with one set of options."""

    options: SceneOptions

    @property
    def name(self) -> str:
        return "scenes" if self.options.look == "day" else f"scenes-{self.options.look}"

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    @property
    def splits(self) -> tuple[str, ...]:
        return SPLITS

    def split(self, name: str) -> SceneSplit:
        if name not in SPLITS:
            raise DataError(
                f'scenes has no split "{name}"',
                wanted=f"one of: {', '.join(SPLITS)}",
                fix=nearest(name, SPLITS),
            )
        return SceneSplit(self.options, name)


def open_scenes(options: Mapping[str, Any]) -> SceneDataset:
    """The dataset of a reference's options.

    Raises:
        DataError: an option is unknown or out of range.
    """
    try:
        return SceneDataset(SceneOptions(**options))
    except ValidationError as error:
        known = tuple(SceneOptions.model_fields)
        problem = spec_error(error, "the dataset reference scenes?...", known)
        raise DataError(
            problem.found, wanted=f"options: {', '.join(known)}", fix="scenes?look=dusk&size=96x128&train=512"
        ) from None
