from fractions import Fraction

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from epsball.data import load_data
from epsball.data.spec import SPLITS


def test_split_is_stratified_disjoint_and_complete() -> None:
    train, test = load_data("digits", split="train"), load_data("digits")
    assert (len(train), len(test)) == (1438, 359)
    whole = np.bincount(load_digits().target)
    shares = np.bincount(test.labels)
    assert (np.bincount(train.labels) + shares == whole).all()
    assert all(
        abs(share - Fraction(359, 1797) * int(all_)) < 1
        for share, all_ in zip(shares, whole, strict=True)
    )


def test_same_images_every_time() -> None:
    first, second = load_data("digits"), load_data("digits")
    rows = np.arange(len(first))
    assert (first.read(rows) == second.read(rows)).all()
    assert (first.labels == second.labels).all()


def test_train_and_test_together_are_scikit_learns_images() -> None:
    stored = load_digits()
    greys = np.rint(stored.images * 255 / 16).astype(np.uint8)
    enlarged = [Image.fromarray(one).resize((28, 28), Image.Resampling.BICUBIC) for one in greys]
    expected = [(one.tobytes(), label) for one, label in zip(enlarged, stored.target, strict=True)]
    results = []
    for split in SPLITS:
        digits = load_data("digits", split=split)
        pixels = digits.read(np.arange(len(digits)))
        results += [
            (one.tobytes(), label) for one, label in zip(pixels, digits.labels, strict=True)
        ]
    assert sorted(results) == sorted(expected)


def test_pixels_are_bytes_over_the_whole_range() -> None:
    digits = load_data("digits")
    pixels = digits.read(np.arange(len(digits)))
    assert pixels.shape == (359, 1, 28, 28)
    assert pixels.dtype == np.uint8
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert digits.class_names == tuple("0123456789")


def test_read_keeps_the_order_asked_for() -> None:
    digits = load_data("digits")
    rows = np.array([5, 0, 5])
    pixels = digits.read(rows)
    assert (pixels[0] == pixels[2]).all()
    assert (pixels[1] == digits.read(np.array([0]))[0]).all()
    assert digits.read(np.array([], np.int64)).shape == (0, 1, 28, 28)
