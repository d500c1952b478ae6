"""How long a pretraining will take, from what is known of others and of runs. No torch.

FLOPs are counted in passes of the encoder over a whole crop: a pass that is trained is three of one that is not. Heads
are left out, but for the decoder that `pixel-mim` has.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from segrank.errors import StoreError
from segrank.pretrain.spec import PretrainSpec
from segrank.pretrain.store import PretrainStore
from segrank.spec import RunSpec
from segrank.study.flops import work_of
from segrank.study.network import transformer_of
from segrank.study.observations import MOST_OTHERS, place_of
from segrank.study.predict import ASSUMED_SPREAD, Prediction, Predictor

_TAUGHT = ("abstract-mim", "self-distillation")
"""Objectives with a second network, a moving average, in their checkpoints."""
_DECODER_BLOCKS = 2
"""Of `pixel-mim`, whose decoder sees all patches."""
_CHECKPOINTS = 2
"""That are kept at a time."""


class Seen(NamedTuple):
    """What a finished pretraining took."""

    spec: PretrainSpec
    """Its precision resolved."""
    place: str
    image_s: float
    """Seconds of an image, waiting for its views included."""


def seen_in(store: PretrainStore) -> list[Seen]:
    """The finished pretrainings of a store, of which damaged ones are left out."""
    folder = store.run_folder("x").parent
    keys = sorted(path.parent.name for path in folder.glob("*/record.json"))
    found = []
    for key in keys[:MOST_OTHERS]:
        with contextlib.suppress(StoreError):
            record = store.published(key)
            if record is not None and record.train_s and record.provenance.devices == 1 and record.provenance.device:
                spec = record.spec.model_copy(update={"precision": record.precision})
                place = place_of(record.provenance.device, record.provenance.host)
                found.append(Seen(spec, place, record.train_s / (spec.steps * spec.batch_size)))
    return found


def pretraining_s(store: PretrainStore, key: str) -> float | None:
    """What a finished one took; none if its record is damaged."""
    with contextlib.suppress(StoreError):
        if record := store.published(key):
            return record.train_s
    return None


def passes(spec: PretrainSpec, depth: int) -> float:
    """Of the encoder over a whole crop, for an image: 3 for one that is trained, 1 for one that is not.

    Args:
        spec: the pretraining.
        depth: of the encoder, in blocks.
    """
    small = 0.25 * spec.local_views  # of half the side
    trained, others = {
        "supervised": (1.0, 0.0),
        "promptable": (1.0, 0.0),
        "pixel-mim": (1 - spec.mask_ratio + _DECODER_BLOCKS / depth, 0.0),
        "abstract-mim": (1.0, 1.0),
        "contrastive": (2.0, 0.0),
        "self-distillation": (2 + small, 2.0),
        "none": (0.0, 0.0),
    }[spec.objective]
    return 3 * trained + others


def predict_pretraining(spec: PretrainSpec, seen: Sequence[Seen], predictor: Predictor) -> Prediction:
    """From pretrainings like it, else by FLOPs at the rate of other pretrainings, else of runs with such an encoder.

    Args:
        spec: the pretraining, its precision resolved.
        seen: finished ones; those from elsewhere are left out.
        predictor: of runs, for the place where it will be.
    """
    images = spec.steps * spec.batch_size
    here = [one for one in seen if one.place == predictor.place]
    flops = _image_flops(spec)
    run = predictor.predict(_tuned(spec))
    like = [one.image_s for one in here if _traits(one.spec) == _traits(spec)]
    rates = [one.image_s / own for one in here if (own := _image_flops(one.spec))]
    train_s, basis, rests_on = None, run.basis, run.rests_on
    if spec.objective == "none":
        train_s, basis, rests_on = 0.0, "runs like it", "nothing is trained"
    elif like:
        train_s, basis = images * median(like), "runs like it"
        rests_on = f"{len(like)} finished pretraining{'s' * (len(like) > 1)} like it"
    elif rates and flops:
        train_s, basis = images * flops * median(rates), "runs, by FLOPs"
        rests_on = f"FLOPs, at the rate of {len(rates)} other pretraining{'s' * (len(rates) > 1)}"
    elif run.train_s is not None and flops and (work := work_of(_tuned(spec), 1)):
        train_s = run.train_s * flops / work.train_flops + run.data_s
        rests_on = f"runs with such an encoder: {run.rests_on}"
    bytes_ = _parameter_bytes(spec)
    by_flops = basis != "runs like it"
    networks = 3 + (spec.objective in _TAUGHT)  # with the optimiser's two
    return run._replace(
        train_s=train_s,
        data_s=0.0,
        evaluation_s=None if train_s is None else 0.0,
        spread=math.inf if train_s is None else max(ASSUMED_SPREAD[basis], run.spread if by_flops else 0.0),
        basis="nothing" if train_s is None else basis,
        rests_on=rests_on,
        flops=round(images * flops) if flops else None,
        host_gib=None,
        device_gib=None,
        disk_gib=bytes_ and bytes_ * (1 + _CHECKPOINTS * networks) / 2**30,
        kept_gib=bytes_ and bytes_ / 2**30,
    )


def _traits(spec: PretrainSpec) -> tuple[object, ...]:
    """What of it decides how long an image takes."""
    own = (spec.mask_ratio, spec.local_views, spec.clicks)
    return (spec.objective, spec.architecture, spec.dataset, spec.crop, spec.patch_size, spec.precision, own)


def _tuned(spec: PretrainSpec) -> RunSpec:
    """A run that tunes the same architecture on as many images of this size."""
    return RunSpec(
        encoder=spec.architecture, weights="random", dataset=spec.dataset, crop=spec.crop, patch_size=spec.patch_size,
        steps=spec.steps, batch_size=spec.batch_size, precision=spec.precision, train_split=spec.split,
        eval_split=spec.split,
    )  # fmt: skip


def _image_flops(spec: PretrainSpec) -> float | None:
    net, work = transformer_of(spec.architecture), work_of(_tuned(spec), 1)
    return passes(spec, net.depth) * work.forward_flops if net and work else None


def _parameter_bytes(spec: PretrainSpec) -> float | None:
    net = transformer_of(spec.architecture)
    return 4.0 * net.parameters(spec.patch_size, (spec.crop[0] // spec.patch_size) ** 2) if net else None
