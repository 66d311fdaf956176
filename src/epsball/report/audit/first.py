"""The first screen: the number, what it is a number of, and what may be done about it."""

import shlex
from typing import NamedTuple

from epsball.evaluation.metrics.present import ball_words
from epsball.report.audit.run import Run
from epsball.report.drawing.numbers import distance, interval, percent

_TRAINED = ("zoo:", "timm:", "torchvision:")  # sources whose models `epsball train` builds
_FILES = (
    ("summary.json", "every rate and finding"),
    ("manifest.json", "model, data, attacks and machine"),
    ("records", "one row an image, attack and eps, in Parquet"),
    ("images", "a few images, clean and adversarial"),
)


class First(NamedTuple):
    """What stands first on the page.

    Args:
        number: the worst case of the largest ball, or of the worst attack: "7.2 %".
        interval: of the sample, 95 %.
        clean: accuracy without attack.
        ball: the ball in words; empty without one.
    """

    number: str
    interval: str
    clean: str
    ball: str


def first_screen(run: Run) -> First | None:
    """Return the number of the headline and what stands beside it; None where none is printed."""
    worst, clean = run.summary.get("worst_case") or [], run.summary.get("clean") or {}
    if run.blocked or not run.summary.get("headline"):
        return None
    row = worst[-1] if worst else min(run.beside, key=lambda one: one["robust_accuracy"] or 0)
    ball = ball_words(row["norm"], row["eps"]) if worst else ""
    bounds = interval(row["robust_accuracy_ci"])
    return First(percent(row["robust_accuracy"]), bounds, percent(clean.get("accuracy")), ball)


def helping(run: Run) -> list[tuple[str, str]]:
    """Return what to try next with this model and these data: (why, command)."""
    model, data = run.manifest["model"].get("spec", ""), run.manifest["data"].get("spec", "")
    if ":" not in model or data == "tensors":
        return []
    worst = run.summary.get("worst_case") or []
    linf = [row["eps"] for row in worst if row["norm"] == "linf"]
    named = ["--data", data, *(["--eps", distance(linf[-1])] if linf else [])]
    done = {result["attack"] for result in run.results}
    commands = []
    if "strongest" not in done:
        commands.append(("A lower upper bound", ["audit", model, *named, "--attack", "strongest"]))
    if linf and (model.startswith(_TRAINED) or ".py:" in model):
        trained = ["train", model, *named, "--recipe", "pgd", "--out", "hardened"]
        commands.append(("A model that is harder to fool", trained))
    commands.append(("The adversarial images as files", ["attack", model, *named, "--out", "adv"]))
    return [(why, shlex.join(["epsball", *words])) for why, words in commands]


def files(run: Run) -> list[tuple[str, str]]:
    """Return what lies beside the page, and what it holds."""
    return [(name, what) for name, what in _FILES if (run.path / name).exists()]
