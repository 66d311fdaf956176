"""What the attacks that look for the nearest image in l1 or l0 are held to."""

from collections.abc import Callable

import pytest
import torch
from tests.attacks.borders import QueryCounter, Rejecting
from torch import Tensor, nn

from epsball.errors import BrokenContract, InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.objectives import is_adversarial
from epsball.testing.problems import Linear, Problem, Wavy, linear_problem
from epsball.types import Norm

Attack = Callable[..., Tensor]
GREY, FIRST = torch.full((1, 1, 2, 2), 0.5), torch.tensor([0])


def far_problem(seed: int, classes: int = 2) -> tuple[Linear, Tensor, Tensor]:
    """Return a linear model and images all over the box, so that its walls are met."""
    model = Linear(seed, classes)
    generator = torch.Generator().manual_seed(seed + 1)
    inputs = torch.rand((8, 2, 3, 4), generator=generator)
    return model, inputs, model(inputs).argmax(1)


def fewest(model: Linear, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return how many entries have to change, of a model with two classes: the best ones first."""
    planes = model.weight.detach()
    slope = planes[1 - labels] - planes[labels]
    flat = inputs.flatten(1)
    room = torch.where(slope > 0, 1 - flat, flat)
    gained = (slope.abs() * room).sort(dim=1, descending=True).values.cumsum(1)
    logits = model(inputs).detach()
    gap = logits.gather(1, labels[:, None]) - logits.gather(1, 1 - labels[:, None])
    count: Tensor = (gained <= gap).sum(1) + 1
    return count


def changed(made: Tensor, inputs: Tensor) -> Tensor:
    """Count the entries that differ, by comparison."""
    return (made != inputs).flatten(1).sum(1)


def check_reaches_targets(attack: Attack) -> None:
    for classes in (2, 3, 10):
        model, inputs, labels = linear_problem(classes, classes)
        for shift in range(1, min(classes, 4)):
            targets = (labels + shift) % classes
            adversarial = attack(model, inputs, labels, targets=targets)
            assert (model(adversarial).argmax(1) == targets).all()


def check_a_thousand_classes(attack: Attack) -> None:
    model, inputs, labels = far_problem(5, 1000)
    adversarial = attack(model, inputs, labels)
    assert (model(adversarial).argmax(1) != labels).all()
    second = model(inputs).topk(2, dim=1).indices[:, 1]
    reached = attack(model, inputs, labels, targets=second)
    assert (model(reached).argmax(1) == second).all()


def check_rejected_is_no_success(attack: Attack) -> None:
    """The third column stands in the way of every image at first."""
    model = Rejecting(3, 3)
    inputs = torch.rand((8, 2, 3, 4), generator=torch.Generator().manual_seed(0))
    labels = model(inputs)[:, :2].argmax(1)
    assert (model(inputs).argmax(1) == 2).any()
    adversarial = attack(model, inputs, labels)
    assert (model(adversarial).argmax(1) == 1 - labels).all()


def check_wrong_ones_cost_one_pass(attack: Attack) -> None:
    """What is wrong already comes back as it is, and is not asked about again."""
    p = Problem(2)
    labels = p.model(p.inputs).argmax(1)
    wrong = torch.arange(len(labels)) % 3 == 0
    counting = QueryCounter(p.model, len(labels))
    adversarial = attack(counting, p.inputs, (labels + wrong) % 3)
    assert torch.equal(adversarial[wrong], p.inputs[wrong])
    assert (counting.forwards[wrong] == 1).all()
    assert (counting.forwards[~wrong] > 1).all()
    assert (adversarial != p.inputs).flatten(1).any(1)[~wrong].all()


class Weighted(nn.Module):
    """Scores W x of four entries, known by hand."""

    def __init__(self, rows: list[list[float]], offset: list[float]) -> None:
        super().__init__()
        self.weight, self.offset = torch.tensor(rows), torch.tensor(offset)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ self.weight.T + self.offset


class Stubborn(nn.Module):
    """Has slopes, but always the same winner."""

    def forward(self, inputs: Tensor) -> Tensor:
        first = inputs.flatten(1)[:, :3]
        return torch.cat((first[:, :1] + 5, first[:, 1:]), dim=1)


def check_clean_where_nothing_is_found(attack: Attack) -> None:
    inputs = torch.rand((4, 1, 3, 3), generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(4, dtype=torch.int64)
    assert torch.equal(attack(Stubborn(), inputs, labels), inputs)


def check_nearest_of_all_seen(attack: Attack, norm: Norm) -> None:
    """Of all points that a model with many hills was shown, the nearest that fools comes back."""
    result = 0
    for seed in range(3):
        for targeted in (False, True):
            p, model = Problem(seed), Wavy(seed)
            row = slice(seed, seed + 1)
            labels = model(p.inputs[row]).argmax(1)
            targets = (labels + 1) % 3 if targeted else None
            adversarial = attack(model, p.inputs[row], labels, targets=targets)
            shown = torch.cat(model.queried)
            many = labels.expand(len(shown))
            won = is_adversarial(
                model(shown), many, None if targets is None else targets.expand(len(shown))
            )
            far = size(shown - p.inputs[row], norm)
            nearest = far[won].min() if won.any() else torch.tensor(0.0)
            assert size(adversarial - p.inputs[row], norm) == nearest
            result += int(won.any())
    assert result


def check_pure(attack: Attack) -> None:
    p = Problem(1)
    before, clean = p.state(), p.inputs.clone()
    first = attack(p.model, p.inputs, p.labels)
    with torch.no_grad():
        assert torch.equal(first, attack(p.model, p.inputs, p.labels))
    after = p.state()
    assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    assert before[1:] == after[1:]
    assert torch.equal(p.inputs, clean)
    assert not first.requires_grad
    assert not p.inputs.requires_grad
    assert first.min() >= 0
    assert first.max() <= 1


def check_rows_alone(attack: Attack, *, within: float = 1e-4) -> None:
    p = Problem(4)
    whole = attack(p.model, p.inputs, p.labels)
    part = attack(p.model, p.inputs[4:7], p.labels[4:7])
    assert (whole[4:7] - part).abs().max() <= within


def check_bad_input(attack: Attack, **refused: object) -> None:
    p = Problem(0)
    with pytest.raises(UnsupportedNorm, match="norm must be one of"):
        attack(p.model, p.inputs, p.labels, norm="linf")
    with pytest.raises(InvalidInput, match="steps must be >= 1, got 0"):
        attack(p.model, p.inputs, p.labels, steps=0)
    with pytest.raises(InvalidInput, match="targets must differ"):
        attack(p.model, p.inputs, p.labels, targets=p.labels)
    with pytest.raises(BrokenContract, match="one output names no second class"):
        attack(Linear(0, 1), p.inputs, torch.zeros_like(p.labels))
    with pytest.raises(InvalidInput, match="takes no eps"):
        attack(p.model, p.inputs, p.labels, eps=0.1)
    right = p.model(p.inputs).argmax(1)
    with pytest.raises(InvalidInput, match="no gradient"):
        attack(lambda x: p.model(x).detach(), p.inputs, right)
    for name, value in refused.items():
        with pytest.raises(InvalidInput, match=name):
            attack(p.model, p.inputs, p.labels, **{name: value})
