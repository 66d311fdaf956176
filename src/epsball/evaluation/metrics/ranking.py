"""Several runs on the same images: which model is fooled most easily? No torch."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from epsball.evaluation.metrics.compare import compare
from epsball.evaluation.metrics.statistics import holm

_KEY = ("variant", "norm", "eps")


def rank(runs: Sequence[Path]) -> dict[str, Any]:
    """Compare every two of several runs on the same images.

    Args:
        runs: directories of two runs or more.

    Returns:
        `runs`: name and directory of each; `n`: the images; `rows`: for every attack and eps that
        all have, clean first, the accuracies and their intervals in the order of the runs; `of`:
        the row to speak of, that of the strongest attack where about half is still right; `order`:
        numbers of the runs, the one that is fooled most easily at that row first; `pairs`: for
        every two runs a and b at that row, images that only one gets right, the exact McNemar
        p-value, and the same with Holm's correction over all pairs.

    Raises:
        InvalidInput: two of the runs cannot be compared, see `compare`.
    """
    pairs = {(a, b): compare(runs[a], runs[b]) for a, b in combinations(range(len(runs)), 2)}
    rows_of = {at: {_key(row): row for row in pair["rows"]} for at, pair in pairs.items()}
    common = [key for key in rows_of[0, 1] if all(key in rows for rows in rows_of.values())]
    rows = [_row(key, rows_of, len(runs)) for key in common]
    told = _telling(rows[1:])
    duels = [
        {"a": a, "b": b}
        | {name: found[name] for name in ("only_a_right", "only_b_right")}
        | {"p_value": found["p_value"]}
        for (a, b), by_key in rows_of.items()
        for found in [by_key[_key(told)]]
    ]
    corrected = holm([duel["p_value"] for duel in duels])
    first, last = pairs[0, 1], pairs[0, len(runs) - 1]
    return {
        "runs": [first["a"], *(pairs[0, at]["b"] for at in range(1, len(runs)))],
        "n": last["n"],
        "rows": rows,
        "of": told,
        "order": sorted(range(len(runs)), key=lambda at: told["accuracies"][at]),
        "pairs": [duel | {"p_holm": p} for duel, p in zip(duels, corrected, strict=True)],
    }


def _key(row: dict[str, Any]) -> tuple[str, str, float]:
    return row["variant"], row["norm"], row["eps"]


def _row(
    key: tuple[str, str, float], rows_of: dict[tuple[int, int], dict[Any, Any]], count: int
) -> dict[str, Any]:
    """Return one attack and eps, with the accuracy of every run."""
    beside = [rows_of[0, at][key] for at in range(1, count)]
    return dict(zip(_KEY, key, strict=True)) | {
        "accuracies": [beside[0]["accuracy_a"], *(row["accuracy_b"] for row in beside)],
        "cis": [beside[0]["ci_a"], *(row["ci_b"] for row in beside)],
    }


def _telling(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Pick the strongest attack, and of its eps the one where about half is still right."""
    left: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        left.setdefault((row["variant"], row["norm"]), []).append(fmean(row["accuracies"]))
    strongest = min(left, key=lambda at: fmean(left[at]))
    own = [row for row in rows if (row["variant"], row["norm"]) == strongest]
    return min(own, key=lambda row: abs(fmean(row["accuracies"]) - 0.5))
