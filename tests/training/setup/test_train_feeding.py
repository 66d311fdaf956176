"""Splits, batches and fingerprints of the training images."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from epsball.errors import InvalidInput
from epsball.training import TrainSettings
from epsball.training.setup import feeding
from epsball.training.setup.feeding import batch_count, cut, open_feed, split_rows
from epsball.training.setup.placement import Placement
from epsball.training.setup.randomness import own_random_state, seeded
from epsball.types import Dataset, Pixels, Positions

HERE = Placement("cpu", "float32", channels_last=False, threads=1)


@given(
    labels=st.lists(st.integers(0, 3), min_size=4, max_size=60),
    share=st.floats(0.2, 0.8),
    seed=st.integers(0, 5),
)
def test_the_split_is_stratified_and_loses_nothing(
    labels: list[int], share: float, seed: int
) -> None:
    classes = np.array(labels, dtype=np.int64)
    train, held_out = split_rows(classes, share, seed)
    assert sorted([*train, *held_out]) == list(range(len(classes)))
    for name in set(labels):
        expected = share * (classes == name).sum()
        assert abs((classes[held_out] == name).sum() - expected) <= 1.5


def test_the_split_depends_on_the_seed() -> None:
    labels = np.zeros(100, dtype=np.int64)
    assert (split_rows(labels, 0.5, 0)[1] != split_rows(labels, 0.5, 1)[1]).any()


@pytest.mark.parametrize(("count", "share"), [(3, 0.01), (3, 0.99), (1, 0.5)])
def test_a_split_with_an_empty_side_is_refused(count: int, share: float) -> None:
    with pytest.raises(InvalidInput, match="validation"):
        split_rows(np.zeros(count, dtype=np.int64), share, 0)


@given(count=st.integers(1, 200), size=st.integers(1, 60))
def test_batches_cover_every_row_once_and_none_is_single(count: int, size: int) -> None:
    pieces = list(cut(np.arange(count), size))
    assert np.concatenate(pieces).tolist() == list(range(count))
    assert len(pieces) == batch_count(count, size)
    assert size == 1 or count == 1 or min(map(len, pieces)) > 1
    assert max(map(len, pieces)) <= size + 1


def test_training_batches_are_a_seeded_shuffle_of_the_training_rows(dataset: Dataset) -> None:
    feed = open_feed(dataset, TrainSettings(validation=0.25))
    orders = [
        np.concatenate(feed.order(16, torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)
    ]
    assert orders[0].tolist() == orders[1].tolist()
    assert orders[0].tolist() != orders[2].tolist()
    assert sorted(orders[0]) == feed.train_rows.tolist()


def test_images_keep_their_labels_and_become_unit_floats(dataset: Dataset) -> None:
    feed = open_feed(dataset, TrainSettings(validation=0.25))
    for images, labels in feed.batches(feed.train_rows, 16, HERE):
        for image, label in zip(images, labels, strict=True):
            pixels = (image.numpy() * 255).round().astype(np.uint8)
            same = (dataset.read(np.arange(200)) == pixels).all(axis=(1, 2, 3))
            assert same.any()
            assert int(label) in dataset.labels[same]


def test_a_set_too_large_to_hold_is_read_batch_by_batch(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def read(rows: Positions) -> Pixels:
        calls.append(len(rows))
        return dataset.read(rows)

    streamed = Dataset("large", dataset.labels, dataset.class_names, dataset.shape, read)
    stored = open_feed(dataset, TrainSettings())
    monkeypatch.setattr(feeding, "HELD_BYTES", 64 * 100)
    feed = open_feed(streamed, TrainSettings())
    for (a, _), (b, _) in zip(feed.validation(8, HERE), stored.validation(8, HERE), strict=True):
        assert torch.equal(a, b)
    assert max(calls) <= 9


def test_the_fingerprint_sees_one_pixel_and_one_label(dataset: Dataset) -> None:
    def changed(rows: Positions) -> Pixels:
        pixels = dataset.read(rows).copy()
        pixels[rows == 77, 0, 3, 3] ^= 1
        return pixels

    labels = dataset.labels.copy()
    labels[5] = (labels[5] + 1) % 10
    shared = (dataset.class_names, dataset.shape)
    sets = [
        dataset,
        Dataset("x", dataset.labels, *shared, changed),
        Dataset("x", labels, *shared, dataset.read),
    ]
    prints = [open_feed(data, TrainSettings()).fingerprint() for data in [*sets, dataset]]
    assert prints[0] == prints[3]
    assert len(set(prints)) == 3


def test_every_epoch_and_purpose_draws_other_numbers() -> None:
    drawn = set()
    for seed in (0, 1):
        for epoch in (1, 2):
            for purpose in ("order", "examples"):
                drawn.add(seeded(seed, epoch, purpose).initial_seed())
            with own_random_state(seed, epoch):
                drawn.add(torch.initial_seed())
    assert len(drawn) == 12
