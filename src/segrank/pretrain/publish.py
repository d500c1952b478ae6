"""Pretrained encoders on their way out of a store: by name, small, with their cards. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors.numpy

from segrank.attempt import WEIGHTS
from segrank.cards.card import LICENCES
from segrank.cards.own import card_file
from segrank.errors import SpecError, StoreError
from segrank.files import nearest, write_whole
from segrank.pretrain.record import PretrainRecord
from segrank.pretrain.store import PretrainStore


def copy_encoders(
    records: Iterable[PretrainRecord], store: PretrainStore, folder: Path, *, licence: str = "own"
) -> None:
    """Write NAME.safetensors in half precision, and NAME.card.json, for each of these pretrainings.

    Half precision keeps 3 digits of a weight, and a file half as large.

    Args:
        records: finished pretrainings.
        store: where they lie.
        folder: made if it is not there.
        licence: that the cards name: see `segrank.cards.card.LICENCES`.

    Raises:
        SpecError: no such licence is known.
        StoreError: the folder cannot be written, or a weight is too large for half precision.
    """
    if licence not in LICENCES:
        raise SpecError(
            f'the licence "{licence[:80]}" is not known', wanted=", ".join(LICENCES), fix=nearest(licence, [*LICENCES])
        )
    for record in records:
        weights = store.run_folder(record.key) / WEIGHTS
        target = folder / f"{record.spec.encoder}.safetensors"
        tensors = {name: value.astype(np.float16) for name, value in safetensors.numpy.load_file(weights).items()}
        if not all(np.isfinite(value).all() for value in tensors.values()):
            raise StoreError(f"{weights} has values over 65504", fix="copy that file as it is")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(target, safetensors.numpy.save(tensors))
            card = {**json.loads(card_file(weights).read_text(encoding="utf-8")), "licence": licence}
            write_whole(card_file(target), json.dumps(card, indent=1) + "\n")
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error}", fix="choose another folder") from error
