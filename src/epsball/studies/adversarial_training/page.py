"""The page of study `adversarial-training`: answer and tables. Imports no torch."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from epsball.evaluation.metrics.present import eps_text
from epsball.studies.adversarial_training.claims import NOTES, judge, rows_of
from epsball.studies.adversarial_training.figures import capacity, leaking, over_epochs, slopes
from epsball.studies.adversarial_training.trainings import ALL
from epsball.studies.claims.story import MISSING, Block, CellText, Story, TableBlock, share_text
from epsball.studies.claims.study_rows import Point, StudyRows
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import write_story
from epsball.studies.core.options import Options

_ATTACKS = ("none", "fgsm", "bim", "pgd", "strongest", "transfer:fgsm", "transfer:mifgsm")
_HEADS = "training|#clean|#FGSM|#BIM|#PGD, 5 restarts|#strongest|#held-out FGSM|#held-out MI-FGSM"


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Return the content of the page.

    Args:
        rows: of all cells.
        options: of the study.
        data: facts about the images.
    """
    study_rows = StudyRows(rows)
    eps = float(rows["study_eps"][0])
    names = rows_of(study_rows)
    blocks: dict[str, list[Block]] = {
        "table": [_accuracies(study_rows, names, eps), _costs(study_rows, names)],
        "overfitting": [over_epochs(study_rows, names)],
        "leaking": [leaking(study_rows, names, eps)],
        "capacity": [capacity(study_rows, eps)],
        "linear": [slopes(study_rows)],
    }
    verdicts = judge(study_rows, eps, data, options.train_limit)
    return write_story(NOTES, _answer(study_rows, names, eps), blocks, verdicts)


def _accuracies(rows: StudyRows, names: Sequence[str], eps: float) -> TableBlock:
    at = {attack: 0.0 if attack == "none" else eps for attack in _ATTACKS}
    table = [
        [ALL[n].title, *(share_text(rows.estimate(Point({"row": n}, *one))) for one in at.items())]
        for n in names
    ]
    return NOTES.table("accuracy", _HEADS, table)


def _costs(rows: StudyRows, names: Sequence[str]) -> TableBlock:
    table: list[list[CellText]] = []
    plain, _, _ = _cost(rows, "none")
    for name in names:
        gradients, seconds, doubts = _cost(rows, name)
        times = f"{gradients / plain:.1f}" if plain else MISSING
        cost = f"{gradients:,.0f}", times, f"{seconds:.0f}", doubts or "none"
        table.append([ALL[name].title, *cost])
    heads = "training|#gradients|#times plain|#seconds|findings of training"
    return NOTES.table("cost", heads, table)


def _cost(rows: StudyRows, name: str) -> tuple[float, float, str]:
    """Return gradients and seconds, means over seeds, and the codes of findings."""
    part = rows.rows.filter(pl.col("kind") == "train", pl.col("row") == name)
    if part.is_empty():
        return 0.0, 0.0, ""
    means = part.select(pl.col("gradient_evaluations", "training_seconds").mean()).row(0)
    codes = {code for text in part["findings"].drop_nulls() for code in text.split()}
    return float(means[0]), float(means[1]), ", ".join(sorted(codes))


def _answer(rows: StudyRows, names: Sequence[str], eps: float) -> dict[str, Any]:
    """Return the values of the answer; None where they were not measured."""
    estimates = {n: rows.estimate(Point({"row": n}, "strongest", eps)) for n in names}
    known = {name: e.value for name, e in estimates.items() if e is not None}
    if not known:
        return {"best": None, "eps": eps_text(eps)}
    best = max(known, key=lambda name: known[name])
    clean, plain = rows.estimate(Point({"row": best})), _cost(rows, "none")[0]
    one_step = [known[name] for name in ("fgsm-mix", "fgsm-only") if name in known]
    return {
        "eps": eps_text(eps),
        "best": known[best],
        "best_name": ALL[best].title,
        "clean": clean.value if clean else None,
        "times": _cost(rows, best)[0] / plain if plain else None,
        "one_step": max(one_step, default=None),
    }
