import threading
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segrank.counts import confusion_from_table
from segrank.data.dataset import Sample
from segrank.errors import DataError, TrainingError
from segrank.evaluate.evaluate import evaluate

CPU = torch.device("cpu")
CLASSES = 3


class Samples:
    """Images of noise, labelled by their brightest channel; sample `broken` cannot be read."""

    def __init__(self, n: int, broken: int | None = None) -> None:
        self.n, self.broken = n, broken
        self.read: list[int] = []

    @property
    def names(self) -> Sequence[str]:
        return [f"sample {index}" for index in range(self.n)]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        if index == self.broken:
            raise DataError("mask is damaged")
        image = np.random.default_rng(index).integers(0, 256, (32, 32 + index, 3), dtype=np.uint8)
        labels = image.argmax(2).astype(np.uint8)
        labels[: index + 1] = 255
        return Sample(image, labels, self.names[index], False)

    def digest(self) -> str:
        return ""


class Brightest(nn.Module):
    """Right everywhere, as long as it is in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.head = nn.Dropout(), nn.Dropout()

    classes, scores_are_logits = CLASSES, True

    def output(self, images: Tensor) -> Tensor:
        output: Tensor = self.head(self.frozen(images.float()))
        return output

    def scores(self, output: Tensor, image: int) -> Tensor:
        return output[image]


def test_counts_come_by_image_in_order() -> None:
    samples = Samples(6)
    seen: list[tuple[int, int]] = []
    table = evaluate(
        Brightest(),
        samples,
        [4, 0, 5],
        (32, 32),
        CLASSES,
        device=CPU,
        on_image=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert table["image"].unique(maintain_order=True).to_list() == [f"sample {i}" for i in (4, 0, 5)]
    for index in (4, 0, 5):
        counts = confusion_from_table(table, CLASSES, [samples.names[index]])
        labels = samples[index].labels
        assert counts.diagonal().tolist() == [(labels == value).sum() for value in range(CLASSES)]
        assert counts.sum() == (labels != 255).sum() == counts.trace()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads: int) -> None:
    one = evaluate(Brightest(), Samples(9), range(9), (32, 32), CLASSES, device=CPU)
    many = evaluate(Brightest(), Samples(9), range(9), (32, 32), CLASSES, device=CPU, threads=threads)
    assert one.equals(many)


class Gambles(Brightest):
    """Draws random numbers even in evaluation mode."""

    def output(self, images: Tensor) -> Tensor:
        return super().output(images) + 0 * torch.rand(1)


def test_training_is_left_as_it_was() -> None:
    network = Gambles().train()
    network.frozen.eval()
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())
    modes: list[bool] = []
    evaluate(
        network,
        Samples(2),
        [0, 1],
        (32, 32),
        CLASSES,
        device=CPU,
        on_image=lambda done, total: modes.append(any(module.training for module in network.modules())),
    )
    assert modes == [False, False]
    assert (network.training, network.frozen.training, network.head.training) == (True, False, True)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state()) == numpy_state


def test_an_unreadable_sample_is_named() -> None:
    network = Brightest().train()
    with pytest.raises(DataError, match="damaged") as caught:
        evaluate(network, Samples(50, broken=3), range(50), (32, 32), CLASSES, device=CPU)
    assert "at sample sample 3" in caught.value.__notes__
    assert network.head.training


def test_a_strange_label_and_strange_scores_are_named() -> None:
    with pytest.raises(DataError, match=r"labels \[2\]") as caught:
        evaluate(Brightest(), Samples(1), [0], (32, 32), 2, device=CPU)
    assert caught.value.__notes__ == ["at sample sample 0"]

    class Nowhere(Brightest):
        def output(self, images: Tensor) -> Tensor:
            return images * torch.nan

    with pytest.raises(TrainingError) as not_finite:
        evaluate(Nowhere(), Samples(1), [0], (32, 32), CLASSES, device=CPU)
    assert not_finite.value.__notes__ == ["at sample sample 0"]


@pytest.mark.parametrize("threads", [1, 3])
def test_reading_ahead_is_bounded_and_stops_at_once(threads: int) -> None:
    samples = Samples(100)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(Brightest(), samples, range(100), (32, 32), CLASSES, device=CPU, on_image=stop, threads=threads)
    assert len(samples.read) <= threads + 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("segrank-read")]


def test_no_images_give_an_empty_table() -> None:
    table = evaluate(Brightest(), Samples(1), [], (32, 32), CLASSES, device=CPU)
    assert table.columns == ["image", "kind", "a", "b", "pixels"]
    assert table.height == 0
