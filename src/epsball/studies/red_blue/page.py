"""The page of study `red-blue`: answer and tables. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from epsball.studies.claims.story import (
    MISSING,
    Block,
    CellText,
    Story,
    TableBlock,
    fraction_text,
    share_text,
)
from epsball.studies.claims.study_rows import Point, Setting, StudyRows
from epsball.studies.claims.table import load_claims
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import write_story
from epsball.studies.core.options import Options
from epsball.studies.red_blue.claims import (
    EPS,
    FAR,
    HIGH,
    LOW,
    NAME,
    NOTES,
    judge,
    label,
)
from epsball.studies.red_blue.figures import curves, strips, trade_off

PARAMETERS = ("arm", "l1", "l2", "hidden", "dropout", "lr", "batch_size", "epochs", "arm_eps")
_PENALTIES = ("l1", "l2")
_ARMS = {"clean": "", "adversarial": "trained on FGSM, "}
_KINDS = ("accuracy", "confidence")
_ATTACKS = ("fgsm", "pgd", "strongest")
_SIDES = {"all": "confidence", "right": "confidence_right", "wrong": "confidence_wrong"}
Where = tuple[str, float, str]  # attack, eps, column


@dataclass(frozen=True)
class _Page:
    """The rows of the study, and the settings that the page shows.

    Args:
        rows: of the study.
        base: values of the parameters other than the penalties on which claims are judged.
        clean: settings with these values.
        other: settings of the arm "adversarial".
    """

    rows: StudyRows
    base: Setting
    clean: Sequence[Setting]
    other: Sequence[Setting]


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Return the content of the page.

    Args:
        rows: of all cells.
        options: of the study.
        data: facts about the images.
    """
    study_rows = StudyRows(rows)
    settings = study_rows.settings(PARAMETERS)
    base = base_of(settings)
    clean = [s for s in settings if _rest(s) == base]
    page = _Page(study_rows, base, clean, [s for s in settings if s["arm"] == "adversarial"])
    verdicts = judge(study_rows, base, options, data)
    return write_story(NOTES, _answer(page), _blocks(page), verdicts)


def base_of(settings: Sequence[Setting]) -> Setting:
    """Return the parameters other than the penalties on which claims are judged.

    Where a grid has several values of one, the first counts: the source does not state them.
    """
    clean = [s for s in settings if s["arm"] == "clean"] or list(settings)
    return _rest(clean[0])


def _rest(setting: Setting) -> dict[str, Any]:
    return {name: setting[name] for name in PARAMETERS if name not in _PENALTIES}


def _answer(page: _Page) -> dict[str, Any]:
    """Return the numbers of the answer; best is None where they were not measured."""
    plain = [s for s in page.clean if not s["l1"] and not s["l2"]]
    penalised = [s for s in page.clean if s["l1"] or s["l2"]]
    estimates = {label(s): page.rows.estimate(Point(s, "fgsm", EPS)) for s in penalised}
    known = {name: e.value for name, e in estimates.items() if e is not None}
    without = page.rows.estimate(Point(plain[0], "fgsm", EPS)) if plain else None
    if without is None or not known:
        return {"best": None}
    best = max(known, key=lambda name: known[name])
    far = [page.rows.estimate(Point(s, "fgsm", FAR)) for s in penalised]
    return {
        "eps": EPS,
        "far": FAR,
        "without": without.value,
        "best": known[best],
        "best_name": best,
        "most_far": max(e.value for e in far if e is not None),
    }


def _blocks(page: _Page) -> dict[str, list[Block]]:
    everything = [*page.clean, *page.other]
    adversarial: list[Block] = [_source_table(page.rows, page.other)] if page.other else []
    return {
        "table": [_source_table(page.rows, page.clean), _small_table(page)],
        "trade-off": [trade_off(page.rows, page.clean, page.other)],
        "stronger": [_strong_table(page.rows, everything)],
        "confidence": [curves(page.rows, page.clean), _sides_table(page)],
        "digits": strips(page.rows),
        "readings": [*adversarial, _unclipped_table(page)],
        "cost": [_cost_table(page.rows, everything)],
    }


def _name(setting: Setting) -> str:
    return _ARMS[str(setting["arm"])] + label(setting)


def _fractions(
    rows: StudyRows, settings: Sequence[Setting], where: Sequence[Where], *, source: bool = True
) -> list[list[CellText]]:
    """Return a row per setting: our values, beside them the source's where it has one."""
    return [
        [
            _name(setting),
            *(
                fraction_text(rows.estimate(Point(setting, *at)), _source(setting, at, show=source))
                for at in where
            ),
        ]
        for setting in settings
    ]


def _source(setting: Setting, where: Where, *, show: bool) -> float | None:
    """Return the source's value."""
    attack, eps, column = where
    conditions = {name: setting[name] for name in _PENALTIES}
    conditions |= {"eps": eps, "attack": attack} if eps else {}
    if not show or setting["arm"] != "clean":
        return None
    for claim in load_claims(NAME):
        if claim.kind == "value" and f".{column}." in claim.id and claim.setting == conditions:
            return claim.value
    return None


def _source_table(rows: StudyRows, settings: Sequence[Setting]) -> TableBlock:
    """Set our values beside the source's, clean and under FGSM at eps 0.10 and 0.25."""
    where = [(a, e, c) for a, e in (("none", 0.0), ("fgsm", EPS), ("fgsm", FAR)) for c in _KINDS]
    heads = "penalty|#accuracy|#confidence"
    heads += "".join(f"|#accuracy, eps {eps:.2f}|#confidence" for eps in (EPS, FAR))
    trained = bool(settings) and settings[0]["arm"] == "adversarial"
    return NOTES.table("source", heads, _fractions(rows, settings, where), trained=trained)


def _small_table(page: _Page) -> TableBlock:
    """Set our values beside the source's at its two smaller eps."""
    pair = ({**page.base, "l1": LOW, "l2": LOW}, {**page.base, "l1": HIGH, "l2": HIGH})
    where = [("fgsm", eps, column) for eps in (0.05, 0.075) for column in _KINDS]
    heads = "penalty|#accuracy, eps 0.05|#confidence|#accuracy, eps 0.075|#confidence"
    return NOTES.table("small", heads, _fractions(page.rows, pair, where))


def _unclipped_table(page: _Page) -> TableBlock:
    where = [("fgsm:clip=False", eps, column) for eps in (EPS, FAR) for column in _KINDS]
    heads = "penalty|#accuracy, eps 0.10|#confidence|#accuracy, eps 0.25|#confidence"
    table = _fractions(page.rows, page.clean, where, source=False)
    return NOTES.table("unclipped", heads, table)


def _strong_table(rows: StudyRows, settings: Sequence[Setting]) -> TableBlock:
    """Compare attacks by the accuracy that remains."""
    where = [(attack, eps) for eps in (EPS, FAR) for attack in _ATTACKS]
    table = [_shares(rows, s, [(*at, "accuracy") for at in where]) for s in settings]
    heads = "|".join(f"#{attack}, eps {eps:.2f}" for attack, eps in where)
    images = {
        a: max((rows.images(Point(s, a, EPS)) for s in settings), default=0) for a in _ATTACKS
    }
    counts = ", ".join(f"{attack} on {n:,}" for attack, n in images.items() if n)
    measured = [row for row in table if any(cell != MISSING for cell in row[1:])]
    return NOTES.table("strong", f"penalty|{heads}", measured, counts=counts)


def _sides_table(page: _Page) -> TableBlock:
    """Show confidence over all images, those that are right and those that are wrong."""
    conditions = {"clean": ("none", 0.0), "0.10": ("fgsm", EPS), "0.25": ("fgsm", FAR)}
    where = [(*at, column) for at in conditions.values() for column in _SIDES.values()]
    heads = "|".join(f"#{name}: {side}" for name in conditions for side in _SIDES)
    table = [_shares(page.rows, setting, where) for setting in page.clean]
    return NOTES.table("sides", f"penalty|{heads}", table, folded=True)


def _shares(rows: StudyRows, setting: Setting, where: Sequence[Where]) -> list[CellText]:
    return [_name(setting), *(share_text(rows.estimate(Point(setting, *at))) for at in where)]


def _cost_table(rows: StudyRows, settings: Sequence[Setting]) -> TableBlock:
    """Show what training cost, a mean over seeds, and the sum of the weights' sizes."""
    table: list[list[CellText]] = []
    columns = pl.col("gradient_evaluations", "training_seconds", "weights_l1")
    for setting in settings:
        same = [pl.col(name).eq_missing(value) for name, value in setting.items()]
        part = rows.rows.filter(pl.col("kind") == "train", *same).select(columns.mean())
        gradients, seconds, size = part.row(0)
        table.append([_name(setting), f"{gradients:,.0f}", f"{seconds:.1f}", f"{size:,.0f}"])
    heads = "penalty|#gradients|#seconds|#sum of abs(w)"
    return NOTES.table("cost", heads, table)
