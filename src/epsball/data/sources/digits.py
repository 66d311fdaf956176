"""Scikit-learn's handwritten digits: real data that needs no download."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from epsball.data.in_memory import in_memory_dataset
from epsball.data.sampling import stratified_order
from epsball.data.spec import Split
from epsball.types import Dataset

_SIDE = 28  # so that models made for MNIST take them
_TOP = 16  # the brightest stored value
_TEST_SHARE = 0.2
_SPLIT_SEED = 0  # never to be changed: it decides what a model was trained on
_NAMES = tuple(str(digit) for digit in range(10))


def load(split: Split) -> Dataset:
    """Load the digits, 8x8 in 17 greys, resized (bicubic) to 28x28 in 256.

    Args:
        split: "test" holds a fifth of the images, every class having its share; always the same
            ones.

    Returns:
        1438 ("train") or 359 ("test") images, (1, 28, 28), uint8.
    """
    from sklearn.datasets import load_digits

    stored = load_digits()
    labels = np.asarray(stored.target, dtype=np.int64)
    order = stratified_order(labels, _SPLIT_SEED)
    border = round(_TEST_SHARE * len(labels))
    rows = np.sort(order[:border] if split == "test" else order[border:])
    grey = np.rint(np.asarray(stored.images)[rows] * (255 / _TOP)).astype(np.uint8)
    images = np.stack([_enlarged(one) for one in grey])[:, None]  # (n, 1, 28, 28)
    return in_memory_dataset("digits", images, labels[rows], _NAMES)


def _enlarged(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(grey).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image)
