"""The sentence that answers the question of an audit."""

from collections.abc import Sequence
from typing import Any

from epsball.evaluation.metrics.present import counted, eps_text, percent


def headline(
    worst: dict[str, Any], *, rejects: bool = False, of: int | None = None, belief: str = ""
) -> str:
    """Return the answer in one sentence, as an upper bound.

    Args:
        worst: the worst case of the largest eps.
        rejects: whether the model may reject; then what it rejects is safe.
        of: images of a run that may end early; None: one that does not.
        belief: the result of a control, as a part of a sentence.

    Example:
        >>> headline({"robust_accuracy": 0.5, "robust_accuracy_ci": [0.4, 0.6], "n": 96,
        ...     "parts": ["fgsm", "pgd"], "eps": 0.1, "norm": "linf"})[:57]
        'Robust accuracy is at most 50.0 % (95 % interval of the s'
    """
    rate, (low, high) = worst["robust_accuracy"], worst["robust_accuracy_ci"]
    meaning = " (right untouched, then right or rejected)" if rejects else ""
    return (
        f"Robust accuracy{meaning} is at most {percent(rate)} ({_kind(of)}: "
        f"{percent(low)} to {percent(high)}, {_images(worst['n'], of)}) against "
        f"{_listed(worst['parts'])} within "
        f"{eps_text(worst['eps'])} in {worst['norm']}{'; ' if belief else ''}{belief}; a stronger "
        "attack can only lower it."
    )


def _kind(of: int | None) -> str:
    return "95 % interval" + (" of the sample" if of is None else ", whenever the run ends")


def _images(n: int, of: int | None) -> str:
    return counted(n, "image") if of in (None, n) else f"{n:,} of {counted(of or n, 'image')}"


def answer(
    worst: Sequence[dict[str, Any]],
    results: Sequence[dict[str, Any]],
    *,
    rejects: bool,
    of: int | None,
    belief: str,
) -> str:
    """Answer by the worst case in the largest ball; without a ball, by the worst attack.

    Args:
        worst: the worst cases by eps, ascending; empty where no attack has a ball.
        results: of every attack at every eps.
        rejects: as in `headline`.
        of: as in `headline`.
        belief: as in `headline`.
    """
    if worst:
        return headline(worst[-1], rejects=rejects, of=of, belief=belief)
    row = min(results, key=lambda result: float(result["robust_accuracy"]))
    rate, (low, high) = row["robust_accuracy"], row["robust_accuracy_ci"]
    return (
        f"Accuracy under {row['variant']} is at most {percent(rate)} ({_kind(of)}: "
        f"{percent(low)} to {percent(high)}, {_images(row['n'], of)}); no ball bounds this "
        "attack."
    )


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"the worst of {', '.join(most)} and {last}" if most else last
