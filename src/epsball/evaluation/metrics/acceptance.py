"""How well a model's acceptance separates images to accept and to reject. Imports no torch.

All of it is read off acceptance scores: by how much the best class lies above the reject score, or
any other number that is higher the more a model trusts its answer. An image is accepted where its
score is at least the threshold. Rates at a threshold that is not the model's own are those of the
same images, judged again: an attacker who knows that threshold would look for others, so that
they are upper bounds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from epsball.errors import InvalidInput
from epsball.evaluation.metrics.statistics import wilson, wilson_intervals

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class RiskCurve:
    """Error among accepted images as more are accepted.

    Args:
        threshold: (m,), falling; the scores at which one image more, or several alike, come in.
        coverage: (m,), share of the images that are accepted.
        risk: (m,), share of wrong ones among the accepted.
        low: (m,), lower end of the risk's 95 % interval.
        high: (m,), upper end.
        area: mean risk over all coverages, in [0, 1]; 0 is best.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    area: float


def risk_curve(acceptance: ArrayLike, right: ArrayLike) -> RiskCurve:
    """Follow the error among accepted images as the threshold falls.

    Args:
        acceptance: (n,), float; higher is accepted earlier.
        right: (n,), bool; whether the class that is named for the image is its own.

    Returns:
        One point a different score; images of the same score come in together.

    Raises:
        InvalidInput: no images, lengths that differ, or a score that is NaN.

    Example:
        >>> risk_curve([0.9, 0.8, 0.1], [True, True, False]).risk.round(2).tolist()
        [0.0, 0.0, 0.33]

    Source: El-Yaniv and Wiener 2010, JMLR 11, 1605-1641; the area: Geifman et al. 2019,
    arXiv:1805.08206. Departure: images of the same score are one step.
    """
    scores, fine = _checked("risk_curve", acceptance), np.asarray(right, dtype=bool)
    if scores.shape != fine.shape:
        raise InvalidInput(
            f"risk_curve: acceptance and right must be of one length, got {len(scores)} "
            f"and {len(fine)}"
        )
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]  # compared, not subtracted: equal infinite scores are equal
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(scores) - 1)
    accepted, wrong = last + 1, np.cumsum(~fine[order])[last]
    coverage, risk = accepted / len(scores), wrong / accepted
    low, high = wilson_intervals(wrong, accepted)
    area = float((risk * np.diff(coverage, prepend=0)).sum())
    return RiskCurve(scores[order][last], coverage, risk, low, high, area)


def auroc(clean: ArrayLike, attacked: ArrayLike) -> float:
    """Return how often a clean image has the higher acceptance than an attacked one.

    Args:
        clean: (n,), acceptance of clean images.
        attacked: (m,), of attacked ones.

    Returns:
        The area under the ROC curve, in [0, 1]: 0.5 says that they cannot be told apart, 1 that
        every clean image lies above every attacked one. A tie counts a half.

    Raises:
        InvalidInput: one of them is empty, or holds NaN.

    Example:
        >>> auroc([2.0, 3.0], [1.0, 2.0])
        0.875
    """
    above, below = _checked("auroc", clean), _checked("auroc", attacked)
    is_clean = np.repeat([True, False], [len(above), len(below)])
    largest = np.finfo(np.float64).max  # scikit-learn takes no infinite scores
    scores = np.concatenate((above, below)).clip(-largest, largest)
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_clean, scores))


def auroc_interval(
    area: float, clean: int, attacked: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of an area under the ROC curve that samples of this size leave open.

    Args:
        area: in [0, 1].
        clean: number of clean images, at least 1.
        attacked: number of attacked ones, at least 1.
        level: share of samples whose interval covers the truth, in (0, 1).

    Returns:
        (low, high), in [0, 1]; an area of 1 has a lower end below 1. That the images of both
        samples are mostly the same ones is not used: the interval is rather too wide.

    Raises:
        InvalidInput: area outside [0, 1], or an empty sample.

    Example:
        >>> low, high = auroc_interval(1.0, 100, 100)
        >>> round(low, 3), high
        (0.98, 1.0)

    Source: Newcombe 2006, Statistics in Medicine 25, 559-573, method 5, on the variance of Hanley
    and McNeil 1982, Radiology 143, 29-36.
    """
    from scipy.optimize import brentq

    if not 0 <= area <= 1 or clean < 1 or attacked < 1:
        raise InvalidInput(
            f"auroc_interval: needs an area in [0, 1] and samples of 1 or more, got {area} of "
            f"{clean} and {attacked}"
        )
    z, more = float(ndtri((1 + level) / 2)), (clean + attacked) / 2 - 1

    def excess(truth: float) -> float:
        spread = 1 + more * ((1 - truth) / (2 - truth) + truth / (1 + truth))
        return float((area - truth) ** 2 - z * z * truth * (1 - truth) * spread / clean / attacked)

    # at 0 and 1 the excess is zero as well, and that is not the root that is sought
    low = 0.0 if area == 0 else float(brentq(excess, 0, min(area, 1 - _TOLERANCE)))
    high = 1.0 if area == 1 else float(brentq(excess, max(area, _TOLERANCE), 1))
    return low, high


def rates_at(threshold: float, acceptance: ArrayLike, right: ArrayLike) -> dict[str, Any]:
    """Judge images at a threshold.

    Args:
        threshold: images whose acceptance lies below it are rejected.
        acceptance: (n,), n >= 1.
        right: (n,), bool; whether the class that is named is the image's own.

    Returns:
        `accuracy`: accepted and right, over all; `safe`: right or rejected, over all; `rejected`,
        over all; `accepted_accuracy`: right, over the accepted, null where none is. Each with
        its Wilson interval under the same name and `_ci`.

    Raises:
        InvalidInput: no images, or NaN.

    Example:
        >>> rates = rates_at(0.5, [0.9, 0.8, 0.1, 0.2], [True, False, False, True])
        >>> rates["accuracy"], rates["safe"], rates["rejected"], rates["accepted_accuracy"]
        (0.25, 0.75, 0.5, 0.5)
    """
    accepted = _checked("rates_at", acceptance) >= threshold
    fine = np.asarray(right, dtype=bool)
    return {
        **_rate("accuracy", accepted & fine),
        **_rate("safe", ~accepted | fine),
        **_rate("rejected", ~accepted),
        **_rate("accepted_accuracy", fine[accepted]),
    }


def _rate(name: str, column: NDArray[Any]) -> dict[str, Any]:
    count = len(column)
    if not count:
        return {name: None, f"{name}_ci": None}
    return {name: float(column.mean()), f"{name}_ci": list(wilson(int(column.sum()), count))}


def _checked(who: str, values: ArrayLike) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not len(scores):
        raise InvalidInput(
            f"{who}: needs one score an image and at least one, got shape {scores.shape}"
        )
    if np.isnan(scores).any():
        raise InvalidInput(f"{who}: scores must be numbers, got NaN; leave those images out")
    return scores
