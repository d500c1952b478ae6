"""Which images a run trains on: the whole training split, or what its seed draws of it."""

from __future__ import annotations

from collections.abc import Callable

from lightning_fabric import Fabric

from segrank.data.dataset import Split
from segrank.data.presence import classes_present
from segrank.data.subset import Subset, draw_fraction, draw_per_class
from segrank.errors import SegrankError
from segrank.inputs import Data
from segrank.progress import Reporter
from segrank.spec import RunSpec
from segrank.stop import Stopped


def training_images(fabric: Fabric, spec: RunSpec, data: Data, reporter: Reporter, stop: Callable[[], bool]) -> Split:
    """The part of the training split that the spec asks for. Rank 0 draws it, so that labels are read once.

    Raises:
        DataError: a label cannot be read. Stopped: `stop` said so while labels were read.
    """
    whole = data.train_split
    if spec.train_fraction == 1 and spec.images_per_class == "all":
        return whole
    indices: tuple[int, ...] = ()
    error: SegrankError | Stopped | None = None
    if fabric.is_global_zero:
        try:
            indices = _drawn(spec, data, reporter, stop)
        except (SegrankError, Stopped) as caught:
            error = caught
    if fabric.world_size > 1:
        indices, error = fabric.broadcast((indices, error))
    if error is not None:
        raise error
    reporter.say(f"drawn by seed {spec.seed}: {len(indices)} of {len(whole)} images to train on")
    return Subset(whole, indices)


def _drawn(spec: RunSpec, data: Data, reporter: Reporter, stop: Callable[[], bool]) -> tuple[int, ...]:
    whole = data.train_split
    if spec.images_per_class == "all":
        return draw_fraction(len(whole), spec.train_fraction, spec.seed)
    present = classes_present(
        whole,
        len(data.dataset.classes),
        on_image=lambda done, total: reporter.advance("read labels", done, total),
        stop=stop,
    )
    return draw_per_class(present, spec.images_per_class, spec.seed)
