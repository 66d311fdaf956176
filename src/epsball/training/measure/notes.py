"""What the watch has to say: doubts about a run that only its epochs together show."""

from collections.abc import Mapping, Sequence
from typing import Any

from epsball.types import Finding

COLLAPSE, LEAKING = "catastrophic-overfitting", "label-leaking"
_APART = 0.3  # FGSM leaves so much more accuracy than PGD ...
_PART = 0.5  # ... which leaves less than this part of it
_SURE = 0.02  # by so much more than clean: a few hundred images vary by that


def notes_on(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return each doubt once, from the first epoch that gave cause for it.

    Args:
        rows: epochs, as training.json holds them.

    Returns:
        "catastrophic-overfitting", where accuracy under PGD is far below that under FGSM;
        "label-leaking", where accuracy under FGSM exceeds clean accuracy.

    Example:
        >>> row = {"epoch": 3, "watched_accuracy": 0.9, "fgsm_accuracy": 0.8, "pgd_accuracy": 0.1}
        >>> [note.code for note in notes_on([row])]
        ['catastrophic-overfitting']
    """
    watched = [row for row in rows if row.get("pgd_accuracy") is not None]
    collapsed = next(filter(_collapsed, watched), None)
    leaking = next(filter(_leaking, watched), None)
    notes = [_collapse(collapsed)] if collapsed else []
    return notes + ([_leak(leaking)] if leaking else [])


def _collapsed(row: Mapping[str, Any]) -> bool:
    fgsm, pgd = row["fgsm_accuracy"], row["pgd_accuracy"]
    return bool(fgsm - pgd > _APART and pgd < _PART * fgsm)


def _leaking(row: Mapping[str, Any]) -> bool:
    return bool(row["fgsm_accuracy"] > row["watched_accuracy"] + _SURE)


def _collapse(row: Mapping[str, Any]) -> Finding:
    return Finding(
        COLLAPSE,
        "warning",
        f"epoch {row['epoch']}: accuracy is {row['fgsm_accuracy']:.0%} under FGSM, but "
        f"{row['pgd_accuracy']:.0%} under PGD: the model has learned to spoil one step, and no "
        "more than that",
        evidence=_measured(row),
        remedy="take recipe pgd, iterative-mix or trades; for fast a smaller eps or step_size; "
        "best_by='pgd' keeps the weights from before",
    )


def _leak(row: Mapping[str, Any]) -> Finding:
    return Finding(
        LEAKING,
        "warning",
        f"epoch {row['epoch']}: accuracy is {row['fgsm_accuracy']:.0%} under FGSM and "
        f"{row['watched_accuracy']:.0%} without: examples made with the true label betray it",
        evidence=_measured(row),
        remedy="train with reference='least_likely' or 'random', or with several steps",
    )


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("watched_accuracy", "fgsm_accuracy", "pgd_accuracy")}
