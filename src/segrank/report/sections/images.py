"""Images with their truth and what each encoder made of them, to be looked at. No torch.

A store has predictions only. Images and their labels are read from the dataset when a page is made, and only if that
is asked for: a page that has them hands them on, which a dataset's licence may not allow.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segrank.errors import StoreError
from segrank.predictions import SIDE_PX, Prediction, reduced
from segrank.ranking.phrases import counted
from segrank.report.section import Section
from segrank.report.study import Part, Study

IGNORE = 255
MOST_ENCODERS = 60
MOST_MB = 20
"""Of a page's images; there are fewer of them where this is not enough."""


class Picture(NamedTuple):
    image: NDArray[np.uint8]
    """(h, w, 3)."""
    labels: NDArray[np.uint8]
    """(h, w); 255 is ignored."""


Pictures = Callable[[str, str, str, Sequence[int]], Iterable[Picture]]
"""Dataset, as a spec names it, split, the digest that this had when it was scored, and places in it -> pictures."""


@dataclass(frozen=True)
class ToShow:
    """What a page may show of images."""

    number: int
    pictures: Pictures
    colours: NDArray[np.uint8]
    """(classes at most, 3) RGB."""


def images(study: Study, show: ToShow | None) -> Section | None:
    """Of the first setting; none where the results have no predictions."""
    part = study.base
    found = _predictions(study, part)
    if not found:
        return None
    encoders = list(found)[:MOST_ENCODERS]
    shared = set.intersection(*({one.place for one in found[name]} for name in encoders))
    if show is None or not shared:
        return Section(
            "images",
            "Images",
            f"Predictions of {counted(len(shared), 'image')} are kept for every run. They are not in this file, as "
            "images would be handed on with it: segrank report --images N puts so many in, where the dataset's licence "
            "allows that.",
        )
    row = part.setting.block.rows.row(0, named=True)
    maps = {place: np.stack([_at(found[name], place) for name in encoders]) for place in sorted(shared)}
    order = sorted(maps, key=lambda place: -_disagreement(maps[place]))
    order = order[: show.number]
    names = {one.place: one.name for one in found[encoders[0]]}
    classes = _classes(study, part)
    shown: list[dict[str, Any]] = []
    size = 0
    pictures = show.pictures(row["eval_dataset"], row["eval_split"], row["eval_digest"], order)
    for place, picture in zip(order, pictures, strict=True):
        one = _shown(names[place], picture, maps[place])
        size += sum(len(text) for text in (one["image"], one["truth"], *one["maps"]))
        if size > MOST_MB * 2**20 and shown:
            break
        shown.append(one)
    return Section(
        "images",
        "Images",
        f"{counted(len(shown), 'image')} of {row['eval_dataset']} {row['eval_split']}"
        f"{f' under {part.name}' if part.name else ''}, those first on which encoders disagree the most. Look at the "
        "errors: where all are wrong, the labels may be; where one is wrong alone, it is the encoder.",
        widget="images",
        data={
            "encoders": encoders,
            "classes": classes,
            "colours": ["#" + bytes(colour).hex() for colour in show.colours[: len(classes)].tolist()],
            "images": shown,
        },
        remarks=[
            f"Maps are every so manyth pixel, {SIDE_PX} on the longer side at most, of each encoder's first seed; "
            "shares of wrong pixels are of these. Scores elsewhere are of whole images.",
            f"The images are part of {row['eval_dataset']}: whoever hands this file on hands them on too.",
        ],
    )


def _predictions(study: Study, part: Part) -> dict[str, list[Prediction]]:
    """Of each encoder's first run that kept some, the best encoder first."""
    store = study.results.store
    found: dict[str, list[Prediction]] = {}
    if store is None:
        return found
    board = part.board.boards[0]
    for entry in (*board.entries, *board.incomplete):
        for run in entry.runs[:1]:
            record = study.records.get(run.run)
            evaluation = (
                next((one for one in record.evaluations if one.key == run.evaluation), None) if record else None
            )
            try:
                kept = store.predictions(evaluation) if evaluation else []
            except StoreError:
                kept = []
            if kept:
                found[entry.encoder] = kept
    return found


def _at(predictions: Sequence[Prediction], place: int) -> NDArray[np.uint8]:
    return next(one.labels for one in predictions if one.place == place)


def _disagreement(maps: NDArray[np.uint8]) -> float:
    """Probability that two encoders, drawn at random, differ at a pixel drawn at random.

    Args:
        maps: (encoders, h, w).
    """
    count = len(maps)
    if count < 2:
        return 0.0
    ordered = np.sort(maps.reshape(count, -1), axis=0)
    alike = np.zeros(ordered.shape[1])
    run = np.ones(ordered.shape[1])
    for above, below in pairwise(ordered):
        run = np.where(above == below, run + 1, 1)
        alike += run - 1  # each one more that is equal makes a pair with all before it
    return float(1 - alike.mean() / (count * (count - 1) / 2))


def _shown(name: str, picture: Picture, maps: NDArray[np.uint8]) -> dict[str, Any]:
    truth = reduced(picture.labels)
    height, width = truth.shape
    if maps.shape[1:] != truth.shape:
        raise StoreError(
            f"predictions of {name[:120]} are {maps.shape[2]} x {maps.shape[1]}, its labels {width} x {height}",
            fix="evaluate the runs again, or leave --images out",
        )
    known = truth != IGNORE
    wrong = (maps != truth)[:, known]
    image = Image.fromarray(picture.image).resize((width, height), Image.Resampling.BOX)
    return {
        "name": name,
        "image": _url(image.convert("RGB"), "JPEG", quality=80),
        "truth": _url(Image.fromarray(truth), "PNG", optimize=True),
        "maps": [_url(Image.fromarray(one), "PNG", optimize=True) for one in maps],
        "wrong": [round(float(share), 4) for share in wrong.mean(axis=1)] if known.any() else [0.0] * len(maps),
        "disagreement": round(_disagreement(maps), 4),
    }


def _url(image: Image.Image, form: str, **options: Any) -> str:
    content = io.BytesIO()
    image.save(content, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"


def _classes(study: Study, part: Part) -> list[str]:
    rows = part.setting.block.rows.select("run", "evaluation").iter_rows()
    return next(
        list(one.classes) for run, key in rows if run in study.records
        for one in study.records[run].evaluations if one.key == key
    )  # fmt: skip
