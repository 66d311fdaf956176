"""The ensembles: who is left goes on, masks are looked behind, nothing is spent in vain."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import apgd, apgd_t, autoattack, rejection, square, strongest
from epsball.defences import MaxSoftmax
from epsball.evaluation.engine.recorder import Recorder
from epsball.models.purifiers.bit_depth import BitDepth
from epsball.models.purifiers.defended import defended
from epsball.objectives import is_adversarial
from epsball.randomness import ImageStreams
from epsball.testing.problems import Problem, QueryCounter, ThresholdRejector, linear_problem


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fooled(model: Callable[[Tensor], Tensor], made: Tensor, labels: Tensor) -> int:
    with torch.no_grad():
        return int(is_adversarial(model(made), labels).sum())


class Rounded(nn.Module):
    """A model that rounds its input, so that its gradient is zero everywhere."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.inner(inputs + ((inputs * 32).round() / 32 - inputs).detach())
        return scores + 0 * inputs.sum()


class Stepped(Rounded):
    """The same without a gradient that means anything."""

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.inner((inputs * 32).round() / 32)
        return scores + 0 * inputs.flatten(1).sum(1, keepdim=True)


@pytest.mark.slow
def test_at_least_as_strong_as_its_parts() -> None:
    for seed in range(2):
        p = Problem(seed, classes=5)
        given: dict[str, Any] = {"eps": 0.06, "generator": seeded()}
        whole = fooled(p.model, strongest(p.model, p.inputs, p.labels, **given), p.labels)
        for part in (apgd, apgd_t, square):
            alone = part(p.model, p.inputs, p.labels, **given)
            assert whole >= fooled(p.model, alone, p.labels)


def test_a_fooled_image_is_not_asked_about_again() -> None:
    model, inputs, labels = linear_problem(0, classes=2)
    far = model.distance(inputs, labels, "linf").sort().values
    counted = QueryCounter(model, len(inputs))
    adversarial = strongest(counted, inputs, labels, eps=float(far[2:4].mean()), generator=seeded())
    won = is_adversarial(model(adversarial), labels)
    assert won.any()
    assert not won.all()
    assert int(counted.queries[won].max()) < int(counted.queries[~won].min())
    # far from the border only the stages for every image are run
    assert int(counted.queries.min()) < 500


def test_an_image_alone_gets_what_it_gets_among_others() -> None:
    p = Problem(4, classes=5)
    rows = list(range(len(p.inputs)))

    def attacked(chosen: list[int]) -> Tensor:
        streams = ImageStreams.of(chosen, seed=0, purpose="strongest")
        given = p.inputs[chosen], p.labels[chosen]
        return is_adversarial(
            p.model(strongest(p.model, *given, eps=0.04, generator=streams)), given[1]
        )

    whole = attacked(rows)
    assert 0 < int(whole.sum()) < len(rows)
    assert torch.equal(whole, torch.cat([attacked([row]) for row in rows]))
    assert torch.equal(whole[1::2], attacked(rows[1::2]))


class Times(nn.Module):
    """A model whose scores are multiplied, which leaves every answer as it is."""

    def __init__(self, inner: nn.Module, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.inner(inputs)
        return self.factor * scores


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.04), ("l2", 0.25), ("l1", 0.4)])
def test_the_scale_of_the_scores_does_not_change_the_verdict(norm: Any, eps: float) -> None:
    p = Problem(4, classes=5)
    verdicts = []
    for factor in (0.01, 1, 100):
        model = Times(p.model, factor).eval()
        streams = ImageStreams.of(range(len(p.inputs)), seed=0, purpose="strongest")
        adversarial = strongest(model, p.inputs, p.labels, eps=eps, norm=norm, generator=streams)
        verdicts.append(is_adversarial(model(adversarial), p.labels))
    assert 0 < int(verdicts[1].sum()) < len(p.inputs)
    assert torch.equal(verdicts[0], verdicts[1])
    assert torch.equal(verdicts[2], verdicts[1])


def test_a_masked_model_falls_to_what_needs_no_gradient() -> None:
    p = Problem(1, classes=3)
    masked = Stepped(p.model).eval()
    blind = fooled(masked, apgd(masked, p.inputs, p.labels, eps=0.15, generator=seeded()), p.labels)
    seen = fooled(
        masked, strongest(masked, p.inputs, p.labels, eps=0.15, generator=seeded()), p.labels
    )
    assert seen > blind


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l1", 0.8)])
def test_a_defence_falls_through_its_stand_in(norm: Any, eps: float) -> None:
    p = Problem(2, classes=3)
    hidden = defended(p.model, BitDepth(bits=4))
    given: dict[str, Any] = {"eps": eps, "norm": norm, "generator": seeded()}
    plain = apgd(hidden, p.inputs, p.labels, **given)
    adversarial = strongest(hidden, p.inputs, p.labels, **given)
    through = apgd(hidden.relaxed(), p.inputs, p.labels, **given)
    assert fooled(hidden, adversarial, p.labels) >= fooled(hidden, through, p.labels)
    assert fooled(hidden, adversarial, p.labels) > fooled(hidden, plain, p.labels)


def without_gradient(model: nn.Module) -> Callable[[Tensor], Tensor]:
    def shut(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            scores: Tensor = model(inputs)
            return scores

    return shut


def test_a_model_without_any_gradient_is_attacked_all_the_same() -> None:
    p = Problem(0)
    adversarial = strongest(
        without_gradient(p.model), p.inputs, p.labels, eps=0.3, generator=seeded()
    )
    assert fooled(p.model, adversarial, p.labels) > fooled(p.model, p.inputs, p.labels)


@pytest.mark.parametrize("hide", [without_gradient, lambda model: Stepped(model).eval()])
def test_images_without_a_gradient_get_the_stages_for_masked_models(hide: Any) -> None:
    p = Problem(0)
    counted = QueryCounter(hide(p.model), 1)
    row = int((~is_adversarial(p.model(p.inputs), p.labels)).nonzero()[0])
    strongest(
        counted, p.inputs[row : row + 1], p.labels[row : row + 1], eps=1e-6, generator=seeded()
    )
    assert int(counted.queries[0]) > 5000  # the squares and guessed gradients of these stages


def test_the_standard_composition_wins_what_its_parts_win() -> None:
    p = Problem(3, classes=4)
    given: dict[str, Any] = {"eps": 0.05, "steps": 20}
    adversarial = autoattack(p.model, p.inputs, p.labels, queries=100, generator=seeded(), **given)
    alone = apgd(p.model, p.inputs, p.labels, generator=seeded(), **given)
    assert fooled(p.model, adversarial, p.labels) >= fooled(p.model, alone, p.labels)


@pytest.mark.slow
def test_a_rejecting_model_is_attacked_past_its_rejection() -> None:
    p = Problem(5, classes=4)
    model = ThresholdRejector(p.model, 4, threshold=3.0).eval()

    def won(made: Tensor) -> int:
        with torch.no_grad():
            return int(is_adversarial(model(made), p.labels, classes=4).sum())

    given: dict[str, Any] = {"eps": 0.06, "generator": seeded()}
    whole = won(strongest(model, p.inputs, p.labels, **given))
    assert whole > won(p.inputs)
    for part in (apgd, apgd_t, rejection, square):
        assert whole >= won(part(model, p.inputs, p.labels, **{"norm": "linf"} | given))


@pytest.mark.slow
def test_a_defence_around_a_masked_model_has_no_stand_in_and_is_attacked_all_the_same() -> None:
    p = Problem(1, classes=3)
    masked = Rounded(p.model).eval()
    guard = MaxSoftmax(masked, threshold=0.34).fit(p.inputs, p.labels)  # hardly ever rejects
    counted = Recorder(guard, guard.info, len(p.inputs), "cpu")
    assert counted.relaxed() is None
    adversarial = strongest(counted, p.inputs, p.labels, eps=0.1, generator=seeded())
    assert fooled(masked, adversarial, p.labels) > fooled(masked, p.inputs, p.labels)


def test_methods_against_rejection_are_for_models_that_reject() -> None:
    p = Problem(0)
    for model in (p.model, ThresholdRejector(p.model, 3, threshold=1e3).eval()):
        counted = QueryCounter(model, len(p.inputs))
        strongest(counted, p.inputs, p.labels, eps=1e-6, generator=seeded())
        queries = int(counted.queries.max())
        # nothing is won: no image comes near, and only stages for all images are run
        assert (queries > 300) == (model is not p.model), queries
