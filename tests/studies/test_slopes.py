"""Slopes, grey levels and transfer, where the answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from epsball.errors import InvalidInput
from epsball.studies.judge.slopes import judge_levels, judge_slopes
from epsball.studies.judge.transfer import judge_examples, make_examples
from epsball.types import Dataset


def dataset(pixels: np.ndarray, labels: list[int]) -> Dataset:
    shape = (1, pixels.shape[2], pixels.shape[3])
    return Dataset("made", np.array(labels), ("a", "b"), shape, lambda rows: pixels[rows])


def grey(count: int = 4) -> Dataset:
    pixels = np.full((count, 1, 2, 2), 128, dtype=np.uint8)
    return dataset(pixels, [0, 1] * (count // 2))


def linear(sign: float = 1.0) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        row = torch.tensor([1.0, -2.0, 3.0, -4.0]) * sign
        model[1].weight.copy_(torch.stack([row, -row]))  # type: ignore[operator]  # a Linear
    return model.eval()


class Squared(nn.Module):
    """Logits that bend: the square of a linear one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        bent: torch.Tensor = self.inner(inputs - 128 / 255 + 1e-3).square() * torch.tensor([1, 2])
        return bent


def test_a_linear_model_is_all_straight_and_a_bent_one_is_not() -> None:
    assert judge_slopes(linear(), grey(), 0.3)[0]["accuracy"] == pytest.approx(1)
    bent = judge_slopes(Squared().eval(), grey(), 0.3)[0]["accuracy"]
    assert isinstance(bent, float)
    assert bent < 0.5


def test_the_logits_of_one_image_are_kept_for_the_figure() -> None:
    rows = judge_slopes(linear(), grey(), 0.3)[1:]
    assert len(rows) == 2 * 21
    of_a = [(row["eps"], row["logit"]) for row in rows if row["class"] == "a"]
    (low, first), (high, last) = of_a[0], of_a[-1]
    assert (low, high) == pytest.approx((-0.3, 0.3))
    # along the gradient sign the logit of the truth falls by eps * |w|_1 = 10 eps
    assert first - last == pytest.approx(0.6 * 10, rel=1e-4)  # type: ignore[operator]  # numbers


def test_less_than_half_a_level_vanishes_and_more_does_not() -> None:
    below, above = judge_levels(linear(), grey())
    assert below["eps"] == pytest.approx(0.45 / 255)
    assert (below["accuracy"], above["accuracy"]) == (0, 1)


def test_examples_carry_over_to_the_same_model_and_help_the_opposite_one(tmp_path: Path) -> None:
    result, other, file = linear(), linear(-1), tmp_path / "examples" / "abc.npz"
    spent = make_examples(result, grey(), ["fgsm"], [0.2], seed=0, file=file)
    assert [(row["n"], row["backwards"]) for row in spent] == [(4, 4)]

    def right(judged: nn.Module) -> object:
        (row,) = judge_examples(judged, grey(), file)
        assert (row["attack"], row["eps"], row["n"]) == ("transfer:fgsm", 0.2, 4)
        return row["accuracy"]

    assert right(result) == 0
    assert right(other) == 1


def test_examples_that_are_gone_are_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"delete .*rows/abc.parquet too"):
        judge_examples(linear(), grey(), tmp_path / "examples" / "abc.npz")
