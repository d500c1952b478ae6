"""Generated scenes: deterministic, of any size, the same labels in both looks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from segrank.data import IGNORE, open_dataset
from segrank.errors import DataError


def test_a_scene_depends_on_seed_split_and_index_alone() -> None:
    first = open_dataset("scenes").split("train")[7]
    other = pickle.loads(pickle.dumps(open_dataset("scenes?train=8&val=3").split("train")))[7]
    assert (first.image == other.image).all()
    assert (first.labels == other.labels).all()
    assert first.name == other.name == "train-000007"
    for reference, split, index in (
        ("scenes?seed=1", "train", 7),
        ("scenes", "val", 7),
        ("scenes", "train", 8),
    ):
        assert (open_dataset(reference).split(split)[index].image != first.image).mean() > 0.5


@pytest.mark.parametrize(("size", "shape"), [("16", (16, 16)), ("48x80", (48, 80)), ("130x30", (130, 30))])
def test_sizes(size: str, shape: tuple[int, int]) -> None:
    split = open_dataset(f"scenes?size={size}&train=20").split("train")
    for index in range(20):
        sample = split[index]
        assert sample.image.shape == (*shape, 3)
        assert sample.labels.shape == shape
        assert sample.image.dtype == sample.labels.dtype == np.uint8
        assert not sample.single_valued


def test_every_class_occurs_and_little_is_ignored() -> None:
    dataset = open_dataset("scenes")
    split = dataset.split("train")
    counts = np.bincount(np.concatenate([split[i].labels.ravel() for i in range(60)]), minlength=256)
    assert len(dataset.classes) == len(set(dataset.classes)) == 16
    assert (counts[:16] > 0.005 * counts.sum()).all()
    assert not counts[16:IGNORE].any()
    assert 0.02 < counts[IGNORE] / counts.sum() < 0.15


def test_shift_is_val_in_the_other_look() -> None:
    day, dusk = open_dataset("scenes?val=5"), open_dataset("scenes?val=5&look=dusk")
    for index in range(5):
        val, shift = day.split("val")[index], day.split("shift")[index]
        assert (val.labels == shift.labels).all()
        assert val.image.mean() > shift.image.mean() + 20
        assert (dusk.split("val")[index].image == shift.image).all()
        assert (dusk.split("shift")[index].image == val.image).all()


def test_digest_follows_the_content() -> None:
    digests = {
        open_dataset(reference).split(split).digest()
        for reference in (
            "scenes",
            "scenes?seed=1",
            "scenes?size=64",
            "scenes?train=9&val=8",
            "scenes?look=dusk",
        )
        for split in ("train", "val", "shift")
    }
    # dusk's val is day's shift and the other way round: 15 splits, 13 contents
    assert len(digests) == 13
    assert open_dataset("scenes?train=9").split("val").digest() == open_dataset("scenes").split("val").digest()


def test_names_and_length() -> None:
    split = open_dataset("scenes?train=3").split("train")
    assert list(split.names) == ["train-000000", "train-000001", "train-000002"] == [split[i].name for i in range(3)]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("scenes?looks=dusk", 'unknown key "looks"; did you mean "look"'),
        ("scenes?look=noon", "look: .*'day' or 'dusk'"),
        ("scenes?size=8", "size: .*8x8 is not between 16 and 4096"),
        ("scenes?size=9999", "not between 16 and 4096"),
        ("scenes?size=-3", "size"),
        ("scenes?train=0", "train: .*greater than or equal to 1"),
        ("scenes?train=.inf", "train: .*integer"),
        ("scenes?val=1e99", "val: .*integer"),
        ("scenes?seed=no", "seed: .*integer"),
        ("scenes?seed=1&seed=2", '"seed" stands twice'),
        ("scenes?seed=!!python/object:os.system", "not the YAML"),
        ("scene", '(?s)there is no dataset "scene".*scenes.*did you mean "scenes"'),
        ("kitti", '(?s)there is no dataset "kitti".*YAML file'),
        ("x" * 5000, "there is no dataset"),
    ],
)
def test_bad_references_are_refused(reference: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(reference)


def test_unknown_split_names_those_there_are() -> None:
    with pytest.raises(DataError, match=r'(?s)no split "vall".*train, val, shift.*did you mean "val"'):
        open_dataset("scenes").split("vall")
