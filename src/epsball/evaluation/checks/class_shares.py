"""Does a model predict the classes that the images have?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from epsball.evaluation.checks.findings import finding
from epsball.types import Finding

_UNKNOWN = 0.5  # of the predictions
_EXCESS = 0.25  # of the predictions, beyond what chance explains
_DEVIATIONS = 2  # standard deviations of a count that chance explains


def check_known(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], known: int, classes: int
) -> list[Finding]:
    """Warn where most predictions are of classes that the data do not know, as of an embedding.

    Args:
        labels: (n,), of the data.
        predictions: (n,), of the clean images.
        known: how many classes the data know.
        classes: k, of the model.
    """
    unknown = float((predictions >= known).mean())
    if unknown <= _UNKNOWN:
        return []
    message = (
        f"{unknown:.0%} of the predictions on {len(labels)} clean images are of classes {known} to "
        f"{classes - 1}, which the data do not have"
    )
    return [finding("unknown-classes", message, share=unknown, classes=classes, known=known)]


def check_shares(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    class_names: Sequence[str],
    classes: int,
) -> list[Finding]:
    """Warn where far too many predictions are of a few classes, as under a wrong preprocessing.

    Args:
        labels: (n,), of the data.
        predictions: (n,), of the clean images.
        class_names: of the labels, in their order; may be fewer than k.
        classes: k, of the model.
    """
    actual, predicted = (np.bincount(of, minlength=classes) for of in (labels, predictions))
    allowed = actual + 1 + _DEVIATIONS * np.sqrt(actual + 1)
    excess = float(np.maximum(predicted - allowed, 0).sum()) / len(labels)
    if excess <= _EXCESS:
        return []
    most = int((predicted - actual).argmax())
    name = class_names[most] if most < len(class_names) else str(most)
    message = (
        f"class {name!r} is predicted for {predicted[most] / len(labels):.0%} of {len(labels)} "
        f"clean images and is the label of {actual[most] / len(labels):.0%}"
    )
    return [finding("class-shares", message, excess=excess, most=most)]
