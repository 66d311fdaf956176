"""Study `label-efficient`: what is doubted, what is labelled, and what the page says."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from torch import nn

from epsball.errors import InvalidInput
from epsball.report import write_study
from epsball.studies import run_study
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.label_efficient.page import summarise
from epsball.studies.label_efficient.plan import CHOICES, plan
from epsball.studies.label_efficient.works import DOUBTS

MNIST = DataSummary("mnist", "x", 60_000, 10_000, (1, 28, 28), 10)


@pytest.mark.parametrize("choice", ["entropy", "margin", "deepfool"])
def test_images_at_the_border_are_doubted_most(choice: str) -> None:
    plane = nn.Linear(2, 2, bias=False)
    plane.weight.data = torch.tensor([[4.0, 0.0], [0.0, 4.0]])
    images = torch.tensor([[0.9, 0.1], [0.5, 0.45], [0.2, 0.6], [0.3, 0.31]]).view(4, 1, 1, 2)
    doubt = DOUBTS[choice](nn.Sequential(nn.Flatten(), plane), images)
    assert doubt.argsort().tolist() == [0, 2, 1, 3]


def rows_of(**curves: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"mode": "round", "choice": choice, "labels": 100 * (i + 1), "repeat": 0, "n": 1000,
             "right": round(1000 * share)}
            for choice, curve in curves.items()
            for i, share in enumerate(curve)
        ]
    )  # fmt: skip


def test_the_answer_counts_the_labels() -> None:
    def answer(**curves: list[float]) -> str:
        return summarise(rows_of(**curves), Options(), MNIST).answer

    assert "by margin reaches with 200 labels" in answer(
        random=[0.5, 0.6, 0.7], margin=[0.5, 0.7, 0.8]
    )
    assert "No other choice" in answer(random=[0.5, 0.6, 0.7], margin=[0.5, 0.55, 0.6])
    assert "not run" in answer(margin=[0.5])


def test_a_small_run(tmp_path: Path) -> None:
    run_study(
        "label-efficient", tmp_path, data="digits", limit=50, train_limit=300, seeds=1, epochs=1,
        grid="first=20;more=10;rounds=3;candidates=40",
    )  # fmt: skip
    rows = pl.read_parquet(tmp_path / "rows.parquet")
    assert rows.group_by("choice", maintain_order=True).agg("labels").to_dicts() == [
        {"choice": choice, "labels": [20, 30, 40]} for choice in CHOICES
    ]
    first = rows.filter(pl.col("labels") == 20)["right"]
    assert first.n_unique() == 1  # all begin with the same images and weights
    assert 'id="figure-curves"' in write_study(tmp_path).read_text()


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"choice": ("luck",)}, "among"),
        ({"more": (0,)}, "1 or more"),
        ({"first": (70_000,)}, "ask for fewer"),
        ({"more": (10, 20)}, "one value"),
    ],
)
def test_bad_plans(grid: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        plan(Options(grid=grid), MNIST)
