"""Which classes are closely related: by a hierarchy, or by what a model confuses. No torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from epsball.errors import InvalidInput
from epsball.kinds.hierarchy import FAMILY_EDGES, WORDNET_EDGES, read_hierarchy, wordnet

Related = NDArray[np.bool_]  # (k, k), symmetric, false on the diagonal
_IMAGENET = 1000  # classes
_OFTEN = 2.0  # times as often as if mistakes were spread evenly
_TIMES = 2  # a single mistake shows nothing


def related_by(
    source: str, classes: Sequence[str], labels: NDArray[np.int64], predictions: NDArray[np.int64]
) -> Related:
    """Say which classes are closely related.

    Args:
        source: "wordnet", for the 1,000 classes of ImageNet in their usual order; "confusion"; or
            the path of a hierarchy file (see `read_hierarchy`), where classes with a common parent
            are related.
        classes: k class names, in label order.
        labels: (n,), for "confusion": the true classes of clean images.
        predictions: (n,), for "confusion": what the model says of them.

    Returns:
        (k, k), bool.

    Raises:
        InvalidInput: WordNet for other classes than ImageNet's, or a bad file.
    """
    if source == "confusion":
        return related_by_confusion(labels, predictions, len(classes))
    if source == "wordnet":
        if len(classes) != _IMAGENET:
            raise InvalidInput(
                f"hierarchy wordnet is for the {_IMAGENET} classes of ImageNet, got "
                f"{len(classes)}: use confusion or a file of your own"
            )
        edges = wordnet().edge_matrix(wordnet().leaves())
        return _close(edges, WORDNET_EDGES)
    return _close(read_hierarchy(Path(source), classes).edge_matrix(classes), FAMILY_EDGES)


def related_by_confusion(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int
) -> Related:
    """Call two classes related where the clean model mistakes one for the other often.

    Often: at least twice, and at least twice as often as if the mistakes on images of that class
    were spread evenly over all other classes.

    Args:
        labels: (n,), the true classes of clean images.
        predictions: (n,), in [0, classes), what the model says of them.
        classes: k.

    Returns:
        (k, k), bool, symmetric.

    Example:
        >>> labels = np.array([0] * 8 + [1] * 8 + [2] * 8)
        >>> predictions = np.array([0] * 4 + [1] * 4 + [1] * 8 + [2] * 8)
        >>> related_by_confusion(labels, predictions, 3)[0].tolist()
        [False, True, False]
    """
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, predictions), 1)
    np.fill_diagonal(counts, 0)
    even = counts.sum(1, keepdims=True) / max(classes - 1, 1)
    often = (counts >= _TIMES) & (counts >= _OFTEN * even)
    related: Related = often | often.T
    return related


def _close(edges: NDArray[np.int64], limit: int) -> Related:
    related: Related = edges <= limit
    np.fill_diagonal(related, val=False)
    return related
