"""The verdicts on the claims about the source's own network. Imports no torch."""

import math
from statistics import fmean

from epsball.studies.claims.estimates import Estimate, difference, over_seeds
from epsball.studies.claims.table import Claim, Verdict, judge_finding, judge_value
from epsball.studies.neural_rejection.case import Case, without_interval
from epsball.studies.neural_rejection.results import NOTES, Results
from epsball.studies.neural_rejection.subjects import LEARNED, NETS, SUBJECTS

AS_STATED, USED = "source", SUBJECTS["none"].net


def judge_number(claim: Claim, case: Case) -> Verdict | None:
    """Judge a loss or an accuracy of the network with the source's settings; None: not run."""
    split, column = claim.setting["split"], claim.id.rpartition("-")[2]
    values = base_values(case.results, AS_STATED, split, column)
    if not values:
        return None
    measured = _estimate(case.results, values, split, column)
    format_ = ".4f" if column == "loss" else ".4g"
    each = ", ".join(f"{value:{format_}}" for value in values)
    parts = [f"trainings {each}"] if len(values) > 1 else []
    other = [] if as_stated(case.results) else base_values(case.results, USED, split, column)
    parts += [f"{NETS[USED].title} {other[0]:{format_}}"] if other else []
    parts += ["dropout on, over the last epoch, as Keras reports it"] if split == "train" else []
    verdict = judge_value(claim, measured, differs=case.network, note="; ".join(parts))
    return without_interval(verdict) if measured.low == measured.high else verdict


def base_values(results: Results, net: str, split: str, column: str) -> list[float]:
    """Return a metric of a network, one value per training.

    Args:
        results: the rows.
        net: in `NETS`.
        split: "train": during the last epoch of training, with dropout on; "test".
        column: "loss" or "accuracy".
    """
    rows, name = results.of_kind("train", net=net), f"train_{column}"
    if split == "test":
        rows, name = results.of_kind("losses", net=net, split=split), column
    if name not in rows.columns or rows.is_empty():
        return []
    values = [float(value) for value in rows.sort("repeat")[name].drop_nulls()]
    return values if all(map(math.isfinite, values)) else []


def _estimate(results: Results, values: list[float], split: str, column: str) -> Estimate:
    if column == "accuracy":
        return over_seeds(values, _images(results, split))
    if len(values) == 1:
        return _exact(values[0])
    return difference(values, [0.0] * len(values), 0)  # a loss is no share: not cut to [0, 1]


def _exact(value: float) -> Estimate:
    return Estimate(value, value, value, 1, "images")


def _images(results: Results, split: str) -> int:
    if split == "train":
        row = results.one("train", net=AS_STATED)
        return 1 if row is None else round(row["gradient_evaluations"] / row["epochs_run"])
    row = results.one("losses", net=AS_STATED, split=split)
    return 1 if row is None else int(row["n"])


def as_stated(results: Results) -> bool:
    """Say whether the defended network is the one of the source's own settings."""
    row = results.one("train", net=USED)
    return bool(row and row.get("taken"))


def train_below_test(claim: Claim, case: Case) -> Verdict | None:
    """Judge whether metrics in training, dropout on, are below those of the test, dropout off.

    On the source's network, or on the one that is used where the source's learned nothing: where
    the mean accuracy of its trainings is not far better than chance.
    """
    right = base_values(case.results, AS_STATED, "test", "accuracy")
    net = AS_STATED if right and fmean(right) >= LEARNED else USED
    names = [(split, column) for column in ("accuracy", "loss") for split in ("train", "test")]
    known = [base_values(case.results, net, *name) for name in names]
    if not all(known):
        return None
    train, test, train_loss, test_loss = map(fmean, known)
    values = {"train": train, "test": test, "train_loss": train_loss, "test_loss": test_loss}
    note = NOTES.text("reason-train-below-test", network=NETS[net].title, **values)
    holds = test > train and test_loss < train_loss
    differs = case.network if net == AS_STATED else (*case.network, NETS[net].title)
    gap = _exact(test - train)
    return without_interval(judge_finding(claim, gap, holds=holds, note=note, differs=differs))
