"""The goals of an attacker, as measures on the same records. Imports no torch."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

GOALS = {
    "confidence reduction": "the clean class is kept with less confidence, or lost",
    "misclassification": "a right prediction becomes a wrong one",
    "own-class": "the predicted class, right or wrong, is left",
    "targeted": "the target class is predicted and was not before",
    "source-to-target": "an image of the source class gets the target class: the best pair",
}


@dataclass(frozen=True)
class GoalRate:
    """How often a goal is reached.

    Args:
        goal: one of `GOALS`.
        reached: images that reach it.
        of: images that could; 0 where the records do not say.
        note: which pair of classes, for "source-to-target".
    """

    goal: str
    reached: int
    of: int
    note: str = ""

    @property
    def rate(self) -> float | None:
        """Return the share, in [0, 1]; None where no image could reach the goal."""
        return self.reached / self.of if self.of else None


def goal_rates(records: pl.DataFrame, classes: int) -> list[GoalRate]:
    """Measure every goal on the records of one attack at one eps.

    Args:
        records: label, clean_prediction, prediction, clean_confidence and confidence (null where an
            image retired early: such an image is fooled and has left its class); optionally target,
            the class that the attack was to reach.
        classes: k.

    Returns:
        One rate a goal, in the order of `GOALS`.
    """
    label, clean, now = (records[c] for c in ("label", "clean_prediction", "prediction"))
    right, left = clean == label, clean != now
    weaker = (records["confidence"] < records["clean_confidence"]).fill_null(value=False)
    rates = [
        GoalRate("confidence reduction", int((left | weaker).sum()), len(records)),
        GoalRate("misclassification", int((right & left).sum()), int(right.sum())),
        GoalRate("own-class", int(left.sum()), len(records)),
    ]
    if "target" in records.columns:
        possible = records["target"] != clean
        reached = possible & (records["target"] == now)
        rates.append(GoalRate("targeted", int(reached.sum()), int(possible.sum())))
    else:
        rates.append(GoalRate("targeted", 0, 0, "the records name no target"))
    return [*rates, _best_pair(records.filter(right), classes)]


def source_to_target(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count the images of each source class that get each target class.

    Args:
        labels: (n,), source classes.
        predictions: (n,), in [0, classes); others, rejections, are left out.
        classes: k.

    Returns:
        (k, k), int64; row: source, column: target.

    Example:
        >>> source_to_target(np.array([0, 0, 1]), np.array([1, 1, 1]), 2).tolist()
        [[0, 2], [0, 1]]
    """
    inside = (predictions >= 0) & (predictions < classes)
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels[inside], predictions[inside]), 1)
    return counts


def _best_pair(right: pl.DataFrame, classes: int) -> GoalRate:
    """Return the pair of classes with the highest rate; of equal rates the one with most images."""
    name = "source-to-target"
    if not len(right):
        return GoalRate(name, 0, 0, "no clean image is right")
    counts = source_to_target(right["label"].to_numpy(), right["prediction"].to_numpy(), classes)
    totals = np.bincount(right["label"].to_numpy(), minlength=classes)
    np.fill_diagonal(counts, 0)
    rates = counts / np.maximum(totals, 1)[:, None] + 1e-12 * counts
    source, target = np.unravel_index(int(rates.argmax()), rates.shape)
    reached, of = int(counts[source, target]), int(totals[source])
    return GoalRate(name, reached, of, f"{source} to {target}")
