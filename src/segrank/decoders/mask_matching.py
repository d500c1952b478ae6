"""Which query is compared with which mask: the assignment of least cost, of every image and output layer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


class Pairs(NamedTuple):
    """Matched queries and masks, in order of their layers, images and queries."""

    query: Tensor
    """(pairs), int64: index in (layers b queries), flattened."""
    image: Tensor
    """(pairs), int64."""
    label: Tensor
    """(pairs), int64: the mask's class."""


class Matching(NamedTuple):
    pairs: Pairs
    classes: Tensor
    """(layers b queries), int64: the class of each query's mask, or the number of classes where it has none."""
    masks: Tensor
    """(b), int64: masks of each image."""


def match(costs: Tensor, present: Tensor) -> Matching:
    """The assignment of least cost for each layer and image: min(queries, masks) pairs.

    A GPU is waited for once, by the transfer of the costs, which say what masks there are, too; what goes back is not
    waited for. A cost that is no number, or infinite, is avoided where others are left, as in the reference.

    Args:
        costs: (layers b queries classes), float32; of absent classes they are not read.
        present: (b classes), bool: which masks there are.
    """
    _, images, queries, classes = costs.shape
    most = torch.finfo(costs.dtype).max
    finite = costs.nan_to_num(nan=most, posinf=most, neginf=most)
    table = torch.where(present[:, None], finite, torch.inf).cpu().numpy()
    masks = [np.flatnonzero(np.isfinite(table[0, image, 0])) for image in range(images)]

    of_queries = np.full(table.shape[:3], classes)
    for layer, of_images in zip(of_queries, table, strict=True):
        for of_image, image_costs, labels in zip(layer, of_images, masks, strict=True):
            query, mask = linear_sum_assignment(image_costs[:, labels])
            of_image[query] = labels[mask]
    matched = np.flatnonzero(of_queries < classes)
    parts = (matched, matched // queries % images, of_queries.flat[matched], of_queries, [len(m) for m in masks])
    packed = torch.from_numpy(np.concatenate([np.ravel(part) for part in parts]).astype(np.int64))
    if costs.device.type == "cuda":
        packed = packed.pin_memory()
    sent = packed.to(costs.device, non_blocking=True)
    query, image, label, flat, counts = torch.split(sent, [np.size(part) for part in parts])
    return Matching(Pairs(query, image, label), flat.view(of_queries.shape), counts)
