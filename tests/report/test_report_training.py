"""The page of a training run: what it says, and that no text of it can break out."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import altair as alt
import pytest

from epsball.errors import InvalidInput
from epsball.report import write_training_report
from epsball.report.training.figures import ACCURACIES, curve_frame, draw_curves
from epsball.report.training.page import answer, cost_table

VILLAIN = "</script><script>alert(1)</script>"


def epoch(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "epoch": number,
        "train_loss": 2.0 / number,
        "train_accuracy": 0.5,
        "validation_loss": 1.5 / number,
        "validation_accuracy": 0.6,
        "lr": 0.001,
        "seconds": 30.0,
        "gradient_evaluations": 1000,
        "watched_accuracy": 0.62,
        "fgsm_accuracy": 0.4,
        "pgd_accuracy": 0.3,
    }
    return row | changes


def training(**changes: Any) -> dict[str, Any]:
    note = {
        "code": "catastrophic-overfitting",
        "severity": "warning",
        "message": "epoch 2: spoiled",
        "evidence": {"pgd_accuracy": 0.3},
        "remedy": "take pgd",
    }
    run = {
        "recipe": "fast",
        "finished": True,
        "stopped_early": False,
        "best_epoch": 2,
        "settings": {"recipe": "fast", "eps": 0.1, "alpha": 0.5, "device": "auto"},
        "idle": ["alpha"],
        "model": {"name": "Net", "parameters": 7},
        "sources": {},
        "data": {"name": VILLAIN, "images": 9},
        "placement": {"device": "cpu", "threads": 2},
        "versions": {"torch": "2"},
        "notes": [note],
        "epochs": [epoch(1), epoch(2)],
    }
    return run | changes


def written(out: Path, run: dict[str, Any]) -> str:
    (out / "training.json").write_text(json.dumps(run))
    return write_training_report(out).read_text(encoding="utf-8")


def test_the_page_tells_the_answer_the_notes_the_cost_and_the_settings(tmp_path: Path) -> None:
    page = written(tmp_path, training())
    assert "Net by recipe fast" in page
    assert "epoch 2: spoiled" in page
    assert "2,000" in page
    assert VILLAIN not in page
    assert "<dt>eps</dt>" in page
    assert "<dt>alpha</dt>" not in page  # this recipe does not read it
    assert page == written(tmp_path, training())


def test_the_answer_is_that_of_the_kept_epoch() -> None:
    run = training(epochs=[epoch(1, pgd_accuracy=0.45), epoch(2)], best_epoch=1)
    said = answer(run).replace("\u00a0", " ")
    assert said == (
        "Net by recipe fast: 60.0 % of the held-out images right, 45.0 % of a few hundred under "
        "ten steps at eps 0.1."
    )
    bare = epoch(1, validation_accuracy=None, validation_loss=None, pgd_accuracy=None)
    said = answer(training(epochs=[bare], best_epoch=1)).replace("\u00a0", " ")
    assert said == "Net by recipe fast: 50.0 % of the images right while it was trained."


def test_what_came_before_the_first_epoch_is_part_of_the_cost() -> None:
    before = {"gradient_evaluations": 500, "seconds": 5.0, "attacked": 9, "added": 3}
    rows = cost_table(training(preparation=before)).rows
    assert [row[1] for row in rows] == ["2,000", "500", "2,500"]
    assert len(cost_table(training()).rows) == 1


def test_runs_without_a_watch_and_from_before_there_was_one_have_a_page(tmp_path: Path) -> None:
    old = [
        {
            key: value
            for key, value in epoch(1).items()
            if not key.startswith(("watch", "fgs", "pg"))
        }
    ]
    run = training(epochs=old, best_epoch=1)
    for younger in ("notes", "idle", "sources"):
        del run[younger]
    assert "held out, clean" in written(tmp_path, run)


@pytest.mark.parametrize("width", [340, 920])
def test_the_curves_keep_to_the_schema(width: int) -> None:
    frame = curve_frame(training(), ACCURACIES)
    assert frame.height == 8
    chart = draw_curves(frame, list(ACCURACIES.values()), width, share=True)
    assert isinstance(chart, alt.LayerChart)
    chart.to_dict()


def test_a_directory_without_epochs_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no training run"):
        write_training_report(tmp_path)
    (tmp_path / "training.json").write_text("{")
    with pytest.raises(InvalidInput, match="holds no training run"):
        write_training_report(tmp_path)
    (tmp_path / "training.json").write_text(json.dumps(training(epochs=[])))
    with pytest.raises(InvalidInput, match="no finished epoch"):
        write_training_report(tmp_path)


def test_the_page_needs_no_torch() -> None:
    code = "import epsball.report.training.page, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
