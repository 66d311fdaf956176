"""What an attack may save with a `Search`, and what it may not believe."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import apgd, apgd_t, best_of, bim, mifgsm, pgd
from epsball.objectives import is_adversarial
from epsball.testing.problems import Linear, Problem, QueryCounter, linear_problem
from epsball.types import Search

WALKS = [bim, mifgsm, pgd, apgd, apgd_t]


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Liar:
    """A twin with the model's gradient that calls every image fooled."""

    def __init__(self, model: Linear, labels: Tensor) -> None:
        self.model, self.labels = model, labels

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.score_rows(inputs, torch.arange(len(inputs)))

    def score_rows(self, inputs: Tensor, rows: Tensor) -> Tensor:
        scores: Tensor = self.model(inputs)
        return scores.scatter_add(1, 1 - self.labels[rows, None], torch.full((len(inputs), 1), 2.0))


@pytest.mark.parametrize("attack", WALKS)
def test_a_success_that_the_model_does_not_confirm_is_none(
    attack: Callable[..., Tensor],
) -> None:
    model, inputs, labels = linear_problem(0, classes=2)
    far = float(model.distance(inputs, labels, "linf").max())
    search = Search(confirm=model, precision="bfloat16")
    adversarial = attack(
        Liar(model, labels), inputs, labels, eps=1.1 * far, search=search, generator=seeded()
    )
    assert is_adversarial(model(adversarial), labels).all()


@pytest.mark.parametrize("attack", WALKS)
def test_fooled_images_leave_and_the_others_go_on(attack: Callable[..., Tensor]) -> None:
    model, inputs, labels = linear_problem(0, classes=2)
    far = model.distance(inputs, labels, "linf")
    eps = float(far.sort().values[2:4].mean())
    counted = QueryCounter(model, len(inputs))
    adversarial = attack(counted, inputs, labels, eps=eps, search=Search(), generator=seeded())
    fooled = is_adversarial(model(adversarial), labels)
    assert torch.equal(fooled, far < eps)
    assert int(counted.queries[fooled].max()) < int(counted.queries[~fooled].min())


@pytest.mark.parametrize("attack", [mifgsm, pgd, apgd])
@pytest.mark.parametrize("micro_batch", [1, 5, 100])
def test_micro_batches_change_nothing(attack: Callable[..., Tensor], micro_batch: int) -> None:
    p = Problem(3)
    model, inputs = p.model.double(), p.inputs.double()
    search = Search(retire=False, micro_batch=micro_batch)
    whole = attack(model, inputs, p.labels, eps=0.1, generator=seeded())
    cut = attack(model, inputs, p.labels, eps=0.1, generator=seeded(), search=search)
    assert torch.allclose(whole, cut, atol=1e-9)


def test_restarts_go_to_those_who_are_left() -> None:
    p = Problem(0)
    counted = QueryCounter(p.model, len(p.inputs))
    thorough = best_of(pgd, restarts=4)
    result = thorough(
        counted, p.inputs, p.labels, eps=0.05, steps=5, search=Search(), generator=seeded()
    )
    with torch.no_grad():
        fooled = is_adversarial(p.model(result), p.labels)
    assert 0 < int(fooled.sum()) < len(fooled)
    assert int(counted.queries[fooled].max()) < int(counted.queries[~fooled].min())


def test_a_hair_is_no_reason_to_stop() -> None:
    model = nn.Flatten()
    inputs = torch.tensor([[[[0.5, 0.5000001]]]])
    # fooled by the last bit only: the walk goes on and finds a lead that every batch confirms
    adversarial = pgd(
        model, inputs, torch.tensor([0]), eps=0.1, search=Search(), generator=seeded()
    )
    assert float(adversarial.flatten()[1] - adversarial.flatten()[0]) > 1e-3
