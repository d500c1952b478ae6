"""The card of an encoder that was pretrained here. No torch."""

from __future__ import annotations

from segrank.cards.card import Card, Mim, Supervision
from segrank.pretrain.record import PretrainRecord
from segrank.pretrain.spec import Objective

_WHAT: dict[Objective, tuple[str, Mim, tuple[Supervision, ...], str]] = {
    "supervised": ("to tell which classes an image shows", "none", ("labels",), "2404.12172"),
    "pixel-mim": ("masked autoencoder: pixels of masked patches", "pixels", (), "2111.06377"),
    "abstract-mim": ("masked patches: features of a moving average of itself (data2vec)", "abstract", (), "2202.03555"),
    "self-distillation": ("self-distillation between views (DINO)", "none", (), "2104.14294"),
    "contrastive": ("two views of an image against other images (SimCLR)", "none", (), "2002.05709"),
    "none": ("none", "none", (), "2404.12172"),
    "promptable": ("the mask of what was clicked, whatever its class (after SAM)", "none", ("masks",), "2304.02643"),
}
"""Objective -> what it trains to do, masked image modelling, human signals, the paper that it comes from."""


def card_of_pretraining(record: PretrainRecord, *, dataset: str, parameters: int, dim: int) -> Card:
    """How it came about, as a card that rankings group by: one family an objective, a card for each seed of it.

    Args:
        record: of the pretraining.
        dataset: what its images are called.
        parameters, dim: of the encoder.
    """
    spec = record.spec
    objective, mim, supervision, paper = _WHAT[spec.objective]
    trained = spec.objective != "none"
    budget = f"{spec.steps} steps of {spec.batch_size} images, " * trained
    return Card(
        name=spec.encoder,
        family=spec.called,
        timm=spec.architecture.removeprefix("timm:"),
        on_hub=False,
        parameters_m=parameters / 1e6,
        dim=dim,
        patch=spec.patch_size,
        image=spec.crop[0],
        objective=objective,
        mim=mim,
        supervision=supervision,
        contrastive=False,  # of images against texts
        self_distillation=spec.objective in ("self-distillation", "abstract-mim"),
        promptable=spec.objective == "promptable",
        data=(dataset,) * trained,
        images_seen_m=spec.steps * spec.batch_size / 1e6 * trained,
        pretraining_seed=spec.seed,
        licence="own" if trained else "none",
        paper=paper,
        year=2000 + int(paper[:2]),
        publisher="pretrained with segrank",
        notes=(f"pretraining {record.key}: {budget}seed {spec.seed}",),
    )
