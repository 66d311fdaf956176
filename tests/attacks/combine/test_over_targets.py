"""One attack towards one wrong class after another: which, for whom, and what is kept."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import AttackSpec, best_of, pgd
from epsball.attacks.combine.over_targets import over_targets
from epsball.errors import BrokenContract, InvalidInput
from epsball.geometry import size
from epsball.randomness import ImageStreams
from epsball.testing import check_attack
from epsball.testing.problems import Linear, linear_problem
from epsball.types import ModelInfo, Search

FLAT = nn.Flatten()
SCORES = torch.tensor([[0.9, 0.1, 0.7, 0.3], [0.2, 0.5, 0.4, 0.8], [0.6, 0.9, 0.1, 0.2]])
INPUTS = SCORES.view(3, 1, 1, 4)  # images whose pixels are their scores
LABELS = torch.tensor([0, 3, 0])  # the last one is wrong when clean


class Recorded:
    """An attack that remembers what it was asked, and answers with a function of it."""

    def __init__(self, answer: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.answer = answer
        self.asked: list[tuple[list[int], list[int]]] = []

    def __call__(
        self,
        model: Any,
        inputs: Tensor,
        labels: Tensor,
        *,
        targets: Tensor,
        generator: Any,
        eps: float = 1.0,
        search: Search | None = None,
    ) -> Tensor:
        who = [INPUTS.flatten(1).tolist().index(row) for row in inputs.flatten(1).tolist()]
        self.asked.append((who, targets.tolist()))
        return self.answer(inputs, targets)


class Nearest:
    """The nearest image of a linear model's target class, by the formula. Takes no eps."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(
        self,
        model: Any,
        inputs: Tensor,
        labels: Tensor,
        *,
        norm: str = "l2",
        targets: Tensor,
        generator: Any,
    ) -> Tensor:
        across = self.weight[targets] - self.weight[labels]
        lead = -(across * (inputs - 0.5).flatten(1)).sum(1, keepdim=True)
        step = (lead / across.square().sum(1, keepdim=True)) * across * 1.0001
        return (inputs.flatten(1) + step).view_as(inputs)


def stay(inputs: Tensor, _: Tensor) -> Tensor:
    return inputs


@pytest.mark.parametrize(("count", "tried"), [(1, 1), (2, 2), (9, 3), ("all", 3)])
def test_likeliest_wrong_classes_come_first(count: int | Literal["all"], tried: int) -> None:
    attack = Recorded(stay)
    over_targets(attack, count=count)(FLAT, INPUTS[:2], LABELS[:2], eps=0.1)
    assert attack.asked == [([0, 1], [2, 1]), ([0, 1], [3, 2]), ([0, 1], [1, 0])][:tried]


def test_column_that_rejects_is_no_target() -> None:
    attack, model = Recorded(stay), nn.Flatten()
    model.info = ModelInfo(3, rejects=True)  # type: ignore[assignment]  # modules take any attribute
    over_targets(attack)(model, INPUTS[:1], LABELS[:1], eps=0.1)
    assert [targets for _, targets in attack.asked] == [[2], [1]]


def test_images_that_are_fooled_are_not_attacked_again() -> None:
    def answer(inputs: Tensor, targets: Tensor) -> Tensor:
        """Fool whoever is sent to class 2."""
        adversarial = inputs.clone()
        adversarial[targets == 2, :, :, 2] = 1
        return adversarial

    attack = Recorded(answer)
    adversarial = over_targets(attack)(FLAT, INPUTS, LABELS, eps=0.1)
    assert attack.asked == [([0, 1, 2], [2, 1, 1]), ([1], [2])]
    assert FLAT(adversarial).argmax(1).tolist() == [2, 2, 1]


def test_best_by_margin_is_kept_where_nothing_wins() -> None:
    gains = torch.tensor([0.0, 0.05, 0.02, 0.15])  # towards 3 gets nearest, though it fools nobody

    def answer(inputs: Tensor, targets: Tensor) -> Tensor:
        adversarial = inputs.clone()
        adversarial[:, 0, 0, 0] -= gains[targets]
        return adversarial

    adversarial = over_targets(Recorded(answer))(FLAT, INPUTS[:1], LABELS[:1], eps=0.2)
    assert torch.allclose(adversarial, answer(INPUTS[:1], torch.tensor([3])))


def test_result_is_never_weaker_than_the_clean_image() -> None:
    worse = Recorded(lambda inputs, _: inputs * torch.tensor([1.0, 0, 0, 0]))
    assert torch.equal(over_targets(worse)(FLAT, INPUTS[:1], LABELS[:1], eps=1.0), INPUTS[:1])


def test_given_targets_are_the_only_ones() -> None:
    attack = Recorded(lambda inputs, _: inputs + 0.5)
    targets = torch.tensor([1, 0, 3])
    adversarial = over_targets(attack)(FLAT, INPUTS, LABELS, eps=0.1, targets=targets)
    assert attack.asked == [([0, 1, 2], [1, 0, 3])]
    assert torch.equal(adversarial, INPUTS + 0.5)


def distances(model: Linear, inputs: Tensor, labels: Tensor, dual: int) -> Tensor:
    """Return how far the border to each class is, in the norm that this one is the dual of."""
    scores, weight = model(inputs).detach(), model.weight.detach()
    lead = scores.gather(1, labels[:, None]) - scores
    across: Tensor = torch.linalg.vector_norm(weight - weight[labels][:, None], dual, dim=2)
    result: Tensor = lead / across
    return result.nan_to_num(torch.inf)  # 0 / 0 for the label


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("count", [1, "all"])
def test_attack_without_eps_keeps_the_nearest(classes: int, count: int | Literal["all"]) -> None:
    model, inputs, labels = linear_problem(classes, classes)
    adversarial = over_targets(Nearest(model.weight.detach()), count=count)(model, inputs, labels)
    wrong = model(inputs).detach().scatter(1, labels[:, None], -torch.inf)
    tried = wrong.argsort(1, descending=True)[:, : 1 if count == 1 else classes - 1]
    expected = distances(model, inputs, labels, 2).gather(1, tried).amin(1)
    assert (model(adversarial).argmax(1) != labels).all()
    assert torch.allclose(size(adversarial - inputs, "l2"), expected, rtol=1e-3)


def test_attack_without_eps_leaves_images_alone_that_are_wrong() -> None:
    model, inputs, labels = linear_problem(0, 3)
    wrong = labels.clone()
    wrong[2] = (wrong[2] + 1) % 3
    calls = []
    nearest = Nearest(model.weight.detach())

    @functools.wraps(nearest)
    def counted(model: Any, inputs: Tensor, labels: Tensor, **settings: Any) -> Tensor:
        calls.append(len(inputs))
        return nearest(model, inputs, labels, **settings)

    adversarial = over_targets(counted)(model, inputs, wrong)
    assert torch.equal(adversarial[2], inputs[2])
    assert calls == [5, 5]


def hills(inputs: Tensor) -> Tensor:
    """Class 1 draws near to the left and never wins; class 2 wins far to the right."""
    x = inputs.flatten(1)[:, 0] - 0.5
    return torch.stack([torch.zeros_like(x), -0.1 - 0.5 * torch.exp(9 * x), 20 * x - 4], dim=1)


def test_reaches_what_untargeted_ascent_walks_away_from() -> None:
    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    options: dict[str, Any] = {"eps": 0.3, "random_start": False, "objective": "margin"}
    assert hills(pgd(hills, x, y, **options)).argmax() == 0
    assert hills(over_targets(pgd)(hills, x, y, **options)).argmax() == 2


@pytest.mark.slow
def test_keeps_the_contract_of_an_attack() -> None:
    # "last": the walks are targeted, so that what ranks highest on the way is another matter
    check_attack(
        AttackSpec(
            over_targets(pgd), kind="budget", norms=("linf", "l2"), source="pgd", keeps="last"
        )
    )


def test_two_classes_have_one_way_to_go() -> None:
    model, inputs, labels = linear_problem(0, 2)
    options: dict[str, Any] = {"eps": 0.1, "random_start": False}
    adversarial = over_targets(pgd)(model, inputs, labels, **options)
    assert torch.equal(adversarial, pgd(model, inputs, labels, targets=1 - labels, **options))


def test_search_goes_with_the_rows() -> None:
    model, inputs, labels = linear_problem(0, 3)
    reach = distances(model, inputs, labels, 1).amin(1)
    eps = float(reach.sort().values[2:4].mean())  # three images can be fooled, three cannot
    judge = QueryCounter(model)
    adversarial = over_targets(pgd)(
        QueryCounter(model),
        inputs,
        labels,
        eps=eps,
        generator=streams(),
        search=Search(retire=True, confirm=judge),
    )
    won = model(adversarial).argmax(1) != labels
    assert torch.equal(won, reach < eps)
    # the caller's model sees the clean image, and each class that is tried in vain to its end
    assert (judge.asked[won] < judge.asked[~won].min()).all()
    assert len(set(judge.asked[~won].tolist())) == 1


def test_verdicts_are_those_of_the_model_that_confirms() -> None:
    attack = Recorded(stay)

    def boastful(inputs: Tensor) -> Tensor:
        return -inputs.flatten(1)  # calls every image fooled

    search = Search(retire=True, confirm=FLAT)
    over_targets(attack)(boastful, INPUTS[:2], LABELS[:2], eps=0.1, search=search)
    assert attack.asked == [([0, 1], [2, 1]), ([0, 1], [3, 2]), ([0, 1], [1, 0])]


def test_counts_belong_to_the_rows_that_are_asked_about() -> None:
    model, inputs, labels = linear_problem(0, 3)
    labels = labels.clone()
    labels[4] = (labels[4] + 1) % 3  # fooled by the first try, whatever it does
    counting = QueryCounter(model)
    over_targets(pgd)(counting, inputs, labels, eps=1e-6, steps=5, generator=streams())
    # the clean image, then 5 steps, the last point and its ranking, for one class or for two
    assert counting.asked.tolist() == [15, 15, 15, 15, 8, 15]


class QueryCounter:
    """A model that counts its questions by row of the batch."""

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        self.model, self.asked = model, torch.zeros(6, dtype=torch.int64)

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.score_rows(inputs, torch.arange(len(inputs)))

    def score_rows(self, inputs: Tensor, rows: Tensor) -> Tensor:
        assert len(rows) == len(inputs)
        self.asked += torch.bincount(rows, minlength=6)
        return self.model(inputs)


def streams() -> ImageStreams:
    return ImageStreams.of(range(6), seed=0, purpose="test")


def test_eps_may_be_bound_beforehand() -> None:
    attack = Recorded(stay)
    for bound in (functools.partial(attack, eps=0.1), best_of(attack, restarts=2)):
        settings = {} if isinstance(bound, functools.partial) else {"eps": 0.1}
        adversarial = over_targets(bound)(FLAT, INPUTS, LABELS, **settings)
        assert torch.equal(adversarial, INPUTS)
    unnamed = over_targets(functools.partial(best_of(attack, restarts=2), eps=0.1))
    assert torch.equal(unnamed(FLAT, INPUTS, LABELS), INPUTS)


def test_signature_is_the_attacks() -> None:
    assert inspect.signature(over_targets(pgd)) == inspect.signature(pgd)


@pytest.mark.parametrize("count", [0, -1, "every", 2.5])
def test_bad_count(count: Any) -> None:
    with pytest.raises(InvalidInput, match="count must be >= 1 or 'all'"):
        over_targets(pgd, count=count)


def test_bad_calls() -> None:
    thorough = over_targets(pgd)
    with pytest.raises(BrokenContract, match="names no second class"):
        thorough(lambda x: x.flatten(1)[:, :1], INPUTS, 0 * LABELS, eps=0.1)
    with pytest.raises(InvalidInput, match="labels must be int64"):
        thorough(FLAT, INPUTS, LABELS.float(), eps=0.1)
    with pytest.raises(InvalidInput, match="targets must differ from labels"):
        thorough(FLAT, INPUTS, LABELS, eps=0.1, targets=LABELS)
