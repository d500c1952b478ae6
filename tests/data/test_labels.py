"""Raw ids become class indices alike, whatever the width of the numbers in the file."""

from __future__ import annotations

import numpy as np
import pytest

from segrank.data.images import RawIds
from segrank.data.labels import LabelMapping

MAPPING = LabelMapping(((0, 255), (3, 0), (7, 1), (200, 2), (300, 3)))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_ids_are_looked_up_one_by_one(kind: type[np.integer]) -> None:
    rng = np.random.default_rng(0)
    meant = dict(MAPPING.pairs)
    known: RawIds = rng.choice(np.array([0, 3, 7, 200], kind), (30, 40))
    labels, unknown = MAPPING.apply(known)
    assert labels.dtype == np.uint8
    assert labels.flags.writeable
    assert labels.tolist() == [[meant[value] for value in row] for row in known.tolist()]
    assert unknown == ()
    spoilt = known.copy()
    spoilt[2, 5], spoilt[9, 9], spoilt[9, 8] = 77, 1, 77
    labels, unknown = MAPPING.apply(spoilt)
    assert unknown == (1, 77)
    assert labels.tolist() == [[meant.get(value, 255) for value in row] for row in spoilt.tolist()]
