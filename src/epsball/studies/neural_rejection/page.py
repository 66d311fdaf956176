"""The page of study `neural-rejection`: answer, sections, and values of its notes. No torch."""

from typing import Any

import polars as pl

from epsball.evaluation.metrics.present import percent
from epsball.studies.claims.story import Block, Story, TableBlock
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import write_story
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection import costs, figures, tables
from epsball.studies.neural_rejection.claims import judge
from epsball.studies.neural_rejection.networks import AS_STATED, USED, as_stated, base_values
from epsball.studies.neural_rejection.results import (
    NOTES,
    OURS,
    SOURCE,
    STRONGEST,
    TITLES,
    Results,
)
from epsball.studies.neural_rejection.subjects import GOOD, SUBJECTS

_HEADLINE = ("none", "nr", "dnr")


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Return the content of the page.

    Args:
        rows: of all cells.
        options: of the study.
        data: facts about the images.
    """
    results = Results(rows)
    blocks = {
        key: [block for block in some if not isinstance(block, TableBlock) or block.rows]
        for key, some in _blocks(results).items()
    }
    values = _answer(results) | choices(results)
    return write_story(NOTES, values, blocks, judge(results, options, data))


def _blocks(results: Results) -> dict[str, list[Block]]:
    return {
        "base": [tables.base_table(results)],
        "curves": [figures.accuracy_curves(results), figures.rejection_curves(results)],
        "numbers": [
            tables.source_table(results),
            tables.verdicts_table(results, OURS),
            tables.verdicts_table(results, STRONGEST),
            tables.findings_table(results),
        ],
        "ladder": [tables.ladder_table(results), tables.density_table(results)],
        "knowledge": [figures.knowledge_curves(results), tables.knowledge_table(results)],
        "digits": [*figures.strips(results)],
        "retraining": [
            tables.retraining_table(results, SOURCE),
            tables.retraining_table(results, OURS),
            tables.harvest_table(results),
        ],
        "rejectors": [
            tables.auroc_table(results),
            tables.safe_table(results),
            figures.coverage_curves(results),
        ],
        "costs": [
            costs.training_table(results),
            costs.fitting_table(results),
            costs.attacking_table(results),
        ],
    }


def _answer(results: Results) -> dict[str, Any]:
    """Return the values of the answer; None where they were not measured."""
    middle = min(results.eps, key=lambda eps: abs(eps - (results.middle or eps)), default=0.0)
    remaining = _accuracies(results, middle) if middle else None
    lowest = [_lowest(results, name, middle) for name in _HEADLINE]
    return {
        "middle": f"{middle:g}",
        "remaining": remaining,
        "lowest": None if None in lowest else lowest,
        "clean": _accuracies(results, 0.0),
    }


def _accuracies(results: Results, eps: float) -> list[float] | None:
    estimates = [results.estimate(name, SOURCE, eps) for name in _HEADLINE]
    known = [one.value for one in estimates if one is not None]
    return known if len(known) == len(_HEADLINE) else None


def _lowest(results: Results, name: str, eps: float) -> dict[str, Any] | None:
    """Return the lowest accuracy under our attacks; of equal ones that on most images."""
    ours = {attack: TITLES[attack] for attack in (OURS, STRONGEST)} | tables.variant_titles()
    known: list[dict[str, Any]] = []
    for attack, title in ours.items():
        one = results.estimate(name, attack, eps, draw=0)
        if one is not None:
            images, subject = results.images(name, attack, eps, 0), SUBJECTS[name].title
            known.append(
                {"share": one.value, "attack": title, "images": images, "subject": subject}
            )
    return min(known, key=lambda one: (one["share"], -one["images"]), default=None)


def choices(results: Results) -> dict[str, Any]:
    """Return the values of the notes, as far as the rows hold them; None where they do not."""
    rate = base_values(results, AS_STATED, "test", "accuracy")
    used = base_values(results, USED, "test", "accuracy")
    harvest = list(results.of_kind("harvest").iter_rows(named=True))
    precision = harvest[0].get("precision") if harvest else None
    added = [f"{SUBJECTS[row['subject']].title}: {row['kept']:,}" for row in harvest]
    return {
        "as_stated": as_stated(results),
        "rate": [percent(value) for value in rate] if rate and used else None,
        "good": GOOD,
        "used": used[0] if used else None,
        "attack": _attack(results),
        "precision": None if precision == "float32" else precision,
        "middle_eps": f"{results.middle or 0:g}",
        "harvest": {"images": harvest[0]["n"], "added": ", ".join(added)} if harvest else None,
        "pgd": _pgd(results),
    }


def _attack(results: Results) -> dict[str, str] | None:
    """Return the settings of the source's attack, from a row that names it in full."""
    for row in results.of_kind("harvest", "strip").iter_rows(named=True):
        parts = str(row["attack"]).partition(":")[2].split(",")
        settings = dict(part.split("=", 1) for part in parts if "=" in part)
        if {"steps", "tolerance"} <= settings.keys():
            return settings
    return None


def _pgd(results: Results) -> dict[str, Any] | None:
    row, plain = results.one("train", net="pgd"), results.one("train", net=USED)
    if row is None or row.get("train_eps") is None:
        return None
    per_epoch = plain["gradient_evaluations"] / plain["epochs_run"] if plain else 0
    times = row["gradient_evaluations"] / (row["epochs_run"] * per_epoch) if per_epoch else 0
    steps = f"{times - 1:.0f}" if times else None
    return {"eps": f"{row['train_eps']:g}", "epochs": row["epochs_run"], "steps": steps}
