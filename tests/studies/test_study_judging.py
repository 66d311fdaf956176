"""Judging a network whose answers are known: two logits, +- w x."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from epsball.studies.judge.verdicts import judge_verdicts
from epsball.studies.judge.whole import judge_whole
from epsball.types import Dataset

# logits +-(w x), w = (1, -1): on (0.6, 0.4) the first class wins by 0.4; eps moves that by 4 eps
CLEAN, SLOPE = 0.4, 4.0


def linear(bias: float = 0.0) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([bias, -bias]))  # type: ignore[operator]  # a Linear
        model[1].weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))  # type: ignore[operator]  # a Linear
    return model.eval()


def dataset(count: int, pixels: tuple[float, float] = (0.6, 0.4)) -> Dataset:
    """Images of one kind; the last one is labelled wrongly."""
    labels = np.array([0] * (count - 1) + [1])
    images = np.tile(np.array(pixels, np.float32), (count, 1)).reshape(count, 1, 1, 2)
    return Dataset("made", labels, ("a", "b"), (1, 1, 2), lambda rows: images[rows])


def sure(margin: float) -> float:
    """The probability of the class that wins by this much."""
    return 1 / (1 + math.exp(-abs(margin)))


def test_counts_and_confidence_are_those_of_the_closed_form() -> None:
    rows = judge_whole(linear(), dataset(5), ["fgsm"], [0.05, 0.2], seed=0, micro_batch=2)
    clean, below, above = rows
    assert [(r["attack"], r["eps"]) for r in rows] == [("none", 0.0), ("fgsm", 0.05), ("fgsm", 0.2)]
    assert [r["n"] for r in rows] == [5, 5, 5]
    # four right ones; the wrong one moves further into its error
    assert [r["right"] for r in rows] == [4, 4, 0]
    assert clean["confidence"] == pytest.approx(sure(CLEAN))
    assert below["confidence_right"] == pytest.approx(sure(CLEAN - SLOPE * 0.05), abs=1e-6)
    assert below["confidence_wrong"] == pytest.approx(sure(CLEAN + SLOPE * 0.05), abs=1e-6)
    mixed = (4 * sure(0.2) + sure(0.6)) / 5
    assert below["confidence"] == pytest.approx(mixed, abs=1e-6)
    assert above["confidence_right"] is None
    assert (below["forwards"], below["backwards"]) == (5, 5)


def test_unclipped_images_go_further() -> None:
    # the second pixel is white and would be made whiter: clipped, only the first one moves
    images, attacks = dataset(3, (0.3, 1.0)), ["fgsm", "fgsm:clip=false"]
    rows = judge_whole(linear(bias=1.0), images, attacks, [0.2], seed=0)
    right = {row["attack"]: row["right"] for row in rows}
    assert right == {"none": 2, "fgsm": 2, "fgsm:clip=False": 0}


def test_shards_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = judge_whole(linear(), dataset(7), ["fgsm"], [0.05], seed=0)
    monkeypatch.setattr("epsball.studies.judge.attacking.SHARD", 3)
    parts = judge_whole(linear(), dataset(7), ["fgsm"], [0.05], seed=0)
    for one, other in zip(parts, whole, strict=True):
        assert one["confidence"] == pytest.approx(other["confidence"])
        assert (one["right"], one["n"], one["backwards"]) == (
            other["right"],
            other["n"],
            other["backwards"],
        )


def test_verdicts_come_with_the_checks_of_an_audit(tmp_path: Path) -> None:
    rows = judge_verdicts(
        linear(), dataset(40), "pgd:steps=5", [0.05, 0.2], restarts=2, seed=0, run=tmp_path / "run"
    )
    assert [(r["eps"], r["right"], r["n"]) for r in rows] == [(0.05, 39, 40), (0.2, 0, 40)]
    assert {r["steps"] for r in rows} == {5}
    assert {r["restarts"] for r in rows} == {2}
    flat = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).eval()
    nn.init.zeros_(flat[1].weight)  # type: ignore[arg-type]  # a Linear
    blocked = judge_verdicts(
        flat, dataset(40), "pgd", [0.1], restarts=1, seed=0, run=tmp_path / "flat"
    )
    assert (blocked[0]["accuracy"], blocked[0]["right"]) == (None, None)
    assert blocked[0]["findings"]
