"""The study on a linear model of digits, and made-up rows that turn out either way."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.studies.confidence_bands.test_study import MODEL

from epsball.errors import InvalidInput
from epsball.report import write_study
from epsball.studies import run_study
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.physical.page import Photographs, summarise

DATA = DataSummary("imagenet-sample", "x", 0, 40, (3, 8, 8), 10)


def test_the_study_runs_from_images_to_page(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    grid = f"model={tmp_path}/model.py:build;precision=float32;eps=0.06,0.3;steps=3;draws=2"
    result = run_study(
        "physical", tmp_path / "out", data="digits", limit=40, searched=10, grid=grid
    )
    assert not result.failed
    assert {c["verdict"] for c in result.claims} <= {"holds", "undecided", "not run"}
    rows = pl.read_parquet(result.out / "rows.parquet").filter(pl.col("kind") == "attack")
    assert rows["shot"].unique().sort().to_list() == [0, 1, 2, 3, 4, 5]
    assert rows.filter(pl.col("method") == "through-camera")["index"].n_unique() == 10
    assert "Destruction rate" in write_study(result.out).read_text()


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("severity=6", "severity must be 1 to 5, got 6"),
        ("steps=0", "steps must be 1 to"),
        ("method=fats", "unknown method of the grid 'fats': did you mean 'fast'"),
        ("eps=2", r"eps must be in \(0, 1\]"),
        ("draws=1,2", "give one draws"),
    ],
)
def test_bad_grids_are_refused(tmp_path: Path, grid: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run_study("physical", tmp_path / "out", data="digits", limit=10, grid=grid)
    assert not (tmp_path / "out").exists()


def made_up(undone: dict[str, int]) -> pl.DataFrame:
    """40 images, of which 20 are right when clean; all of these are fooled by every method."""
    rows: list[dict[str, Any]] = []
    for shot in range(6):
        for index in range(40):
            shared = {"index": index, "label": 0, "shot": shot, "model": "zoo:x", "images": None}
            rows.append(shared | {"kind": "clean", "label_rank": 1 if index < 20 else 3})
            for method, count in undone.items():
                rank = 1 if shot and index < count else 3
                own = {"kind": "attack", "method": method, "eps": 16 / 255, "label_rank": rank}
                rows.append(shared | own)
    return pl.DataFrame(rows, infer_schema_length=None)


def test_the_destruction_rate_counts_images_that_were_right_and_fooled() -> None:
    result = Photographs(made_up({"fast": 5, "iterative": 30}))
    assert result.destroyed("fast", 16 / 255, 1) == (5, 20)
    assert result.destroyed("iterative", 16 / 255, 2) == (20, 20)
    error = result.error("fast", 16 / 255, 0, 1)
    assert error is not None
    assert error.value == 1.0
    assert result.destruction("least-likely", 16 / 255, 1) is None


@pytest.mark.parametrize(
    ("undone", "verdict"),
    [
        ({"fast": 5, "iterative": 15, "least-likely": 15}, "holds"),
        ({"fast": 15, "iterative": 5, "least-likely": 15}, "undecided"),  # another setting
    ],
)
def test_the_ordering_turns_out_either_way(undone: dict[str, int], verdict: str) -> None:
    story = summarise(made_up(undone), Options(), DATA)
    verdicts = {one.id: one for one in story.verdicts}
    assert verdicts["physical.fast-survives"].verdict == verdict
    assert verdicts["physical.fast-top1"].value == pytest.approx((20 - undone["fast"] + 20) / 40)
    assert "undoes 25.0 %" in story.answer or undone["fast"] != 5
