"""The page of a training run: how it went, epoch by epoch, and what it cost."""

import json
from pathlib import Path
from typing import Any

from epsball.errors import InvalidInput
from epsball.files import write_bytes
from epsball.report.drawing.document import render
from epsball.report.drawing.numbers import count, distance, duration, percent
from epsball.report.drawing.table import Table, table
from epsball.report.training.figures import accuracy_figure, loss_figure

NAME, RECORD = "training.html", "training.json"
_ASKED = ("device", "precision")  # "Machine" says what was taken


def write_training_report(out: Path) -> Path:
    """Turn a training run into one self-contained page beside its weights.

    Args:
        out: the run's directory: training.json, as the trainer leaves it after every epoch.

    Returns:
        The page, `out / "training.html"`; the same run always gives the same bytes.

    Raises:
        InvalidInput: the directory holds no training run, none with a finished epoch, or cannot be
            written to.
    """
    run = read_training(out)
    figures = [accuracy_figure(run), loss_figure(run)]
    page = render(
        "training.html",
        figures,
        run=run,
        best=_best(run),
        answer=answer(run),
        drawn=figures,
        costs=cost_table(run),
        notes=run.get("notes", []),
        facts=_facts(run),
    )
    return write_bytes(out / NAME, page)


def read_training(out: Path) -> dict[str, Any]:
    """Read what a training run has written down.

    Raises:
        InvalidInput: there is nothing, it cannot be read, or no epoch is finished.
    """
    file = out / RECORD
    try:
        run: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        epochs = run["epochs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{file} holds no training run ({error}); name its directory") from None
    if not epochs:
        raise InvalidInput(f"{file} has no finished epoch; let the training run on")
    return run


def answer(run: dict[str, Any]) -> str:
    """Say in one sentence what the kept weights do."""
    best, settings = _best(run), run["settings"]
    if best["validation_accuracy"] is None:
        said = f"{percent(best['train_accuracy'])} of the images right while it was trained"
    else:
        said = f"{percent(best['validation_accuracy'])} of the held-out images right"
    if best.get("pgd_accuracy") is not None:
        eps = distance(settings.get("watch_eps") or settings["eps"])
        said += f", {percent(best['pgd_accuracy'])} of a few hundred under ten steps at eps {eps}"
    return f"{run['model']['name']} by recipe {run['recipe']}: {said}."


def cost_table(run: dict[str, Any]) -> Table:
    """List what the run spent, and on what."""
    before = run.get("preparation") or {}
    rows = [
        ["epochs", *_spent(run["epochs"])],
        *([["source model and examples", *_spent([before])]] if before.get("attacked") else []),
    ]
    if len(rows) > 1:
        rows.append(["together", *_spent([*run["epochs"], before])])
    return table("What it cost", "part|#gradient evaluations|#time", rows)


def _spent(parts: list[dict[str, Any]]) -> list[str]:
    passes = sum(part["gradient_evaluations"] for part in parts)
    return [count(passes), duration(sum(part["seconds"] for part in parts))]


def _best(run: dict[str, Any]) -> dict[str, Any]:
    best: dict[str, Any] = run["epochs"][max(run["best_epoch"], 1) - 1]
    return best


def _facts(run: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    unsaid = {*_ASKED, *run.get("idle", [])}
    groups = {
        "Settings": {k: v for k, v in run["settings"].items() if k not in unsaid},
        "Model": run["model"],
        "Data": run["data"],
        "Sources": run.get("sources", {}),
        "Machine": run["placement"],
        "Versions": run["versions"],
    }
    return [
        (name, [(key.replace("_", " "), _words(v)) for key, v in settings.items() if v is not None])
        for name, settings in groups.items()
        if settings
    ]


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
