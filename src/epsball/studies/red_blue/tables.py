"""The tables of study `red-blue`. Imports no torch."""

from collections.abc import Sequence

import polars as pl

from epsball.evaluation.metrics.present import interval, percent
from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.measured import Measured, Point, Setting
from epsball.studies.claims.story import TableBlock, Words
from epsball.studies.claims.table import load_claims
from epsball.studies.red_blue.claims import EPS, FAR, HIGH, LOW, words

_DASH = "\N{EN DASH}"
_ARMS = {"clean": "", "adversarial": "trained on FGSM, "}
Where = tuple[str, float, str]  # attack, eps, column
_COLUMNS: tuple[Where, ...] = (
    ("none", 0.0, "accuracy"),
    ("none", 0.0, "confidence"),
    ("fgsm", EPS, "accuracy"),
    ("fgsm", EPS, "confidence"),
    ("fgsm", FAR, "accuracy"),
    ("fgsm", FAR, "confidence"),
)
_HEADS = "penalty|#accuracy|#confidence|#accuracy, eps 0.10|#confidence|#accuracy, eps 0.25"


def name_of(setting: Setting) -> str:
    """Name a setting by its arm and penalties."""
    return _ARMS[str(setting["arm"])] + words(setting)


def source_table(found: Measured, settings: Sequence[Setting]) -> TableBlock:
    """Set our values beside the source's, clean and under FGSM at eps 0.10 and 0.25."""
    rows = [[name_of(s), *(_cell(found, s, w) for w in _COLUMNS)] for s in settings]
    trained = bool(settings) and settings[0]["arm"] == "adversarial"
    caption = "Trained on FGSM examples" if trained else "Clean and under FGSM"
    return TableBlock(caption, f"{_HEADS}|#confidence", rows)


def small_table(found: Measured, base: Setting) -> TableBlock:
    """Set our values beside the source's at its two smaller eps."""
    pair = ({**base, "l1": LOW, "l2": LOW}, {**base, "l1": HIGH, "l2": HIGH})
    places = [("fgsm", eps, column) for eps in (0.05, 0.075) for column in _KINDS]
    rows = [[name_of(s), *(_cell(found, s, w) for w in places)] for s in pair]
    heads = "penalty|#accuracy, eps 0.05|#confidence|#accuracy, eps 0.075|#confidence"
    return TableBlock("Smaller steps of FGSM", heads, rows)


_KINDS = ("accuracy", "confidence")


def strong_table(found: Measured, settings: Sequence[Setting]) -> TableBlock:
    """Set attacks beside each other: what each leaves right."""
    attacks = ("fgsm", "pgd", "strongest")
    places = [(attack, eps, "accuracy") for eps in (EPS, FAR) for attack in attacks]
    rows = [[name_of(s), *(_plain(found, s, w) for w in places)] for s in settings]
    rows = [row for row in rows if any(cell != _DASH for cell in row[1:])]
    heads = "|".join(f"#{attack}, eps {eps:.2f}" for attack, eps, _ in places)
    counts = [max((found.images(Point(s, a, EPS)) for s in settings), default=0) for a in attacks]
    shown = ", ".join(f"{a} on {n:,}" for a, n in zip(attacks, counts, strict=True) if n)
    return TableBlock(f"Accuracy that is left ({shown} images)", f"penalty|{heads}", rows)


def unclipped_table(found: Measured, settings: Sequence[Setting]) -> TableBlock:
    """Show FGSM without clipping to [0, 1]."""
    places = [("fgsm:clip=False", eps, column) for eps in (EPS, FAR) for column in _KINDS]
    rows = [[name_of(s), *(_cell(found, s, w, source=False) for w in places)] for s in settings]
    heads = "penalty|#accuracy, eps 0.10|#confidence|#accuracy, eps 0.25|#confidence"
    return TableBlock("FGSM without clipping", heads, rows)


def sides_table(found: Measured, settings: Sequence[Setting]) -> TableBlock:
    """Show confidence apart for images that are right and that are wrong."""
    sides = ("confidence", "confidence_right", "confidence_wrong")
    at = (("none", 0.0), ("fgsm", EPS), ("fgsm", FAR))
    places = [(attack, eps, side) for attack, eps in at for side in sides]
    rows = [[name_of(s), *(_plain(found, s, w) for w in places)] for s in settings]
    heads = [f"#{when}{side}" for when in ("clean: ", "0.10: ", "0.25: ") for side in _SIDES]
    caption = "Confidence: over all images, those right, those wrong"
    return TableBlock(caption, "|".join(["penalty", *heads]), rows, folded=True)


_SIDES = ("all", "right", "wrong")


def cost_table(found: Measured, settings: Sequence[Setting]) -> TableBlock:
    """Show what training cost, a mean over seeds, and what the weights came to."""
    rows: list[list[Words]] = []
    for setting in settings:
        same = [pl.col(name).eq_missing(value) for name, value in setting.items()]
        part = found.rows.filter(pl.col("kind") == "train", *same)
        means = part.select(pl.col("gradient_evaluations", "training_seconds", "weights_l1").mean())
        gradients, seconds, size = means.row(0)
        rows.append([name_of(setting), f"{gradients:,.0f}", f"{seconds:.1f}", f"{size:,.0f}"])
    return TableBlock("Training, per network", "penalty|#gradients|#seconds|#sum of abs(w)", rows)


def _cell(found: Measured, setting: Setting, where: Where, *, source: bool = True) -> Words:
    attack, eps, column = where
    ours = found.estimate(Point(setting, attack, eps, column))
    if ours is None:
        return _DASH
    theirs = _theirs(setting, where) if source and setting["arm"] == "clean" else None
    beside = () if theirs is None else (f"source {theirs:.4g}",)
    return f"{ours.value:.4f}", f"{ours.low:.3f} to {ours.high:.3f}", *beside


def _plain(found: Measured, setting: Setting, where: Where) -> Words:
    attack, eps, column = where
    ours = found.estimate(Point(setting, attack, eps, column))
    return _DASH if ours is None else _share(ours)


def _share(ours: Estimate) -> Words:
    return percent(ours.value), interval(ours.interval)


def _theirs(setting: Setting, where: Where) -> float | None:
    """Look up the source's value."""
    attack, eps, column = where
    wanted = {"l1": setting["l1"], "l2": setting["l2"]}
    wanted |= {"eps": eps, "attack": attack} if eps else {}
    for claim in load_claims("red-blue"):
        if claim.kind == "value" and f".{column}." in claim.id and claim.setting == wanted:
            return claim.value
    return None
