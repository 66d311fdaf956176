"""Attacks for the nearest image, searching on a cheaper copy that is a little wrong."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from tests.attacks.borders import ROUNDING, nearest_border
from torch import Tensor, nn

from epsball.attacks import cw, ddn, fmn
from epsball.geometry import size
from epsball.testing.problems import Linear, linear_problem
from epsball.types import Norm, Search

STEPS = 60
CASES: list[tuple[Callable[..., Tensor], Norm]] = [
    (partial(fmn, steps=STEPS), "linf"),
    (partial(fmn, steps=STEPS), "l2"),
    (partial(fmn, steps=STEPS), "l1"),
    (partial(fmn, steps=STEPS), "l0"),
    (partial(ddn, steps=STEPS), "l2"),
    (partial(cw, steps=STEPS, searches=3), "l2"),
]


class Seen(nn.Module):
    """Remembers which rows it was asked about, with a gradient and without."""

    def __init__(self, model: nn.Module, count: int) -> None:
        super().__init__()
        self.model = model
        self.forwards, self.backwards = torch.zeros(count).long(), torch.zeros(count).long()
        self.widest = 0

    def forward(self, inputs: Tensor) -> Tensor:
        return self.score_rows(inputs, torch.arange(len(self.forwards)))

    def score_rows(self, inputs: Tensor, rows: Tensor) -> Tensor:
        counted = self.backwards if inputs.requires_grad else self.forwards
        counted += torch.bincount(rows, minlength=len(counted))
        self.widest = max(self.widest, len(inputs))
        logits: Tensor = self.model(inputs)
        return logits


def askew(model: Linear, share: float) -> Linear:
    """Return a copy whose weights are off by a share of their size."""
    other = Linear(0, len(model.weight))
    noise = torch.randn(model.weight.shape, generator=torch.Generator().manual_seed(5))
    spread = share * model.weight.std() * noise
    other.load_state_dict(model.state_dict())
    other.weight.data.add_(spread)
    return other


@pytest.mark.parametrize(("attack", "norm"), CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_found_fools_the_model_and_is_as_near(
    attack: Callable[..., Tensor], norm: Norm, seed: int
) -> None:
    model, inputs, labels = linear_problem(seed, 3)
    search = Search(confirm=model, precision="bfloat16", micro_batch=4)
    adversarial = attack(askew(model, 0.02), inputs, labels, norm=norm, search=search)
    assert (model(adversarial).argmax(1) != labels).all()
    plain = attack(model, inputs, labels, norm=norm)
    result, alone = size(adversarial - inputs, norm), size(plain - inputs, norm)
    # all together: a border that is next to an image is elsewhere on a copy that is a little off
    assert result.sum() <= 1.05 * alone.sum() + (len(result) if norm == "l0" else ROUNDING)
    if norm != "l0":
        true = nearest_border(model, inputs, labels, norm)
        assert (result > 0.999 * true - ROUNDING).all()


@pytest.mark.parametrize(("attack", "norm"), CASES)
def test_a_copy_that_is_fooled_everywhere_finds_nothing_by_itself(
    attack: Callable[..., Tensor], norm: Norm
) -> None:
    """Every success is the model's own: a copy that names another class is not believed."""
    model, inputs, labels = linear_problem(0, 3)

    class Fooled(nn.Module):
        def forward(self, points: Tensor) -> Tensor:
            lifted: Tensor = (
                model(points) + 100 * (1 - nn.functional.one_hot(labels, 3))[: len(points)]
            )
            return lifted

    search = Search(confirm=model, precision="bfloat16")
    adversarial = attack(Fooled(), inputs, labels, norm=norm, search=search)
    moved = (adversarial != inputs).flatten(1).any(1)
    assert (model(adversarial).argmax(1) != labels)[moved].all()


@pytest.mark.parametrize(("attack", "norm"), CASES)
def test_the_copy_does_most_of_the_work_in_batches_of_a_size(
    attack: Callable[..., Tensor], norm: Norm
) -> None:
    model, inputs, labels = linear_problem(0, 3)
    own, copy = Seen(model, len(inputs)), Seen(askew(model, 0.01), len(inputs))
    attack(copy, inputs, labels, norm=norm, search=Search(confirm=own, micro_batch=4))
    assert (own.backwards <= 1 + STEPS // 10).all()
    assert (copy.backwards >= 0.8 * STEPS).all()
    assert own.widest <= 4
    assert copy.widest <= 4
