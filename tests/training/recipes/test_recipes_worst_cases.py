"""The newer recipes against closed forms."""

import pytest
import torch
from tests.training.linear_models import Linear, cross_entropy_by_hand, linear, moved_by_hand
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, softplus

from epsball.training import RECIPES, TrainSettings
from epsball.training.recipes.ensemble import ensemble_examples
from epsball.training.recipes.fast import fast_examples
from epsball.training.recipes.free import carry_on
from epsball.training.recipes.logit_pairing import logit_pairing_loss
from epsball.training.recipes.mart import mart_loss
from epsball.training.recipes.spec import Batch
from epsball.training.recipes.trades import trades_examples, trades_loss

Pair = tuple[Tensor, Tensor]

# Two classes of a linear model: the loss is softplus(-margin), and the margin falls fastest along
# the sign of the weights' difference, whatever the image. So worst cases are known exactly.
EPS = 0.05


def two_classes() -> tuple[Linear, Tensor]:
    """Return a linear model, and the difference of its weights, own class minus the other."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = Linear(16, 2)
    weight = model.layer.weight.detach()
    return model, weight[0] - weight[1]


def inner_batch(labels: list[int]) -> tuple[Tensor, Tensor]:
    """Images so far from 0 and 1 that no ball is cut."""
    generator = torch.Generator().manual_seed(0)
    return 0.3 + 0.4 * torch.rand(len(labels), 1, 4, 4, generator=generator), torch.tensor(labels)


def margins(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    logits: Tensor = model(images)
    own, other = (logits.gather(1, c[:, None])[:, 0] for c in (labels, 1 - labels))
    return own - other


@pytest.mark.parametrize(
    "asked",
    [
        TrainSettings(recipe="fgsm-mix", eps=EPS, alpha=0),
        TrainSettings(recipe="iterative-mix", eps=EPS, alpha=0, attack_steps=4),
        TrainSettings(recipe="pgd", eps=EPS, attack_steps=4),
        TrainSettings(recipe="fast", eps=EPS, step_size=2 * EPS),
    ],
    ids=lambda asked: asked.recipe,
)
def test_the_worst_case_of_a_linear_model_is_its_margin_less_eps_times_the_l1_norm(
    asked: TrainSettings,
) -> None:
    model, difference = two_classes()
    images, labels = inner_batch([0, 1, 0, 1, 1])
    worst = margins(model, images, labels) - EPS * difference.abs().sum()
    generator = torch.Generator().manual_seed(0)
    loss = RECIPES[asked.recipe].step(model, images, labels, asked, generator)
    torch.testing.assert_close(loss, softplus(-worst).mean())


@pytest.mark.parametrize("recipe", ["pgd", "fast", "iterative-mix"])
def test_the_worst_case_in_l2_takes_the_length(recipe: str) -> None:
    model, difference = two_classes()
    images, labels = inner_batch([0, 1, 0])
    worst = margins(model, images, labels) - EPS * difference.norm()
    settings = TrainSettings(recipe=recipe, eps=EPS, norm="l2", step_size=100 * EPS)
    examples = RECIPES[recipe].craft(model, Batch(images, labels, settings))
    torch.testing.assert_close(margins(model, examples, labels), worst, rtol=1e-3, atol=1e-3)


def test_fast_goes_one_and_a_quarter_eps_from_where_it_starts() -> None:
    model, difference = two_classes()
    images, labels = inner_batch([0] * 50)
    settings = TrainSettings(recipe="fast", eps=EPS)
    adversarial = fast_examples(
        model, Batch(images, labels, settings, torch.Generator().manual_seed(0))
    )
    moved = ((adversarial - images) * -difference.sign().view(1, 1, 4, 4)).flatten()
    # from -eps to eps, 1.25 eps on: nothing ends below a quarter of eps; five eighths are at eps
    assert moved.min() >= 0.25 * EPS - 1e-6
    assert moved.max() <= EPS + 1e-6
    at_the_end = (moved > EPS - 1e-6).float().mean().item()
    assert at_the_end == pytest.approx(5 / 8, abs=0.06)


def test_trades_adds_beta_times_torchs_divergence(batch: Pair) -> None:
    model, (images, labels) = linear(), batch
    settings = TrainSettings(recipe="trades", eps=0.1, beta=2.5)
    other = (images + 0.05).clamp(0, 1)
    loss = trades_loss(model, Batch(images, labels, settings), lambda: other)
    apart = kl_div(
        log_softmax(model(other), 1), log_softmax(model(images), 1).exp(), reduction="batchmean"
    )
    torch.testing.assert_close(loss, cross_entropy_by_hand(model, images, labels) + 2.5 * apart)


def test_logit_pairing_weighs_both_losses_and_adds_beta_times_the_squared_difference(
    batch: Pair,
) -> None:
    model, (images, labels) = linear(), batch
    settings = TrainSettings(recipe="logit-pairing", eps=0.1, alpha=0.25, beta=2.5)
    other = (images + 0.05).clamp(0, 1)
    loss = logit_pairing_loss(model, Batch(images, labels, settings), lambda: other)
    losses = [cross_entropy_by_hand(model, some, labels) for some in (images, other)]
    apart = (model(images) - model(other)).square().mean()
    torch.testing.assert_close(loss, 0.25 * losses[0] + 0.75 * losses[1] + 2.5 * apart)


def test_trades_climbs_the_divergence_to_a_corner_of_the_ball_and_reads_no_label() -> None:
    model, difference = two_classes()
    images, labels = inner_batch([0, 1, 0, 1, 0, 1])
    settings = TrainSettings(recipe="trades", eps=EPS, attack_steps=3)
    result = [
        trades_examples(model, Batch(images, classes, settings, torch.Generator().manual_seed(4)))
        for classes in (labels, 1 - labels)
    ]
    assert torch.equal(result[0], result[1])
    along = (result[0] - images) * difference.sign().view(1, 1, 4, 4)
    side = along.flatten(1).mean(1, keepdim=True).sign()  # either way the divergence rises
    torch.testing.assert_close(along.flatten(1), (side * EPS).expand(-1, 16))
    assert result[0].sub(images).abs().max() <= EPS + 1e-6


def test_mart_is_its_formula(batch: Pair) -> None:
    model, (images, labels) = linear(), batch
    settings = TrainSettings(recipe="mart", eps=0.1, beta=3.0)
    other = (images + 0.05).clamp(0, 1)
    clean, moved = log_softmax(model(images), 1).exp(), log_softmax(model(other), 1).exp()
    expected = torch.zeros(())
    for i, label in enumerate(labels.tolist()):
        rival = max(moved[i, k] for k in range(10) if k != label)
        boosted = -moved[i, label].log() - (1.0001 - rival).log()
        apart = (clean[i] * (clean[i] / moved[i]).log()).sum()
        expected = expected + boosted + 3.0 * apart * (1 - clean[i, label])
    loss = mart_loss(model, Batch(images, labels, settings), lambda: other)
    torch.testing.assert_close(loss, expected / len(labels))


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_the_gradient_penalty_of_a_linear_model_is_known(norm: str) -> None:
    """Each image's gradient is (1 - p) times the difference of the weights."""
    model, _ = two_classes()
    images, labels = inner_batch([0, 1, 1, 0])
    settings = TrainSettings(recipe="gradient-penalty", gradient_penalty=0.7, gradient_norm=norm)
    loss = RECIPES["gradient-penalty"].step(model, images, labels, settings)
    weight = model.layer.weight
    difference = weight[0] - weight[1]
    length = difference.square().sum() if norm == "l2" else difference.abs().sum()
    doubt = 1 - torch.sigmoid(margins(model, images, labels))
    sizes = doubt.square() * length if norm == "l2" else doubt * length
    expected = softplus(-margins(model, images, labels)).mean() + 0.7 * sizes.mean()
    torch.testing.assert_close(loss, expected)
    # and so is what the weights get: the gradient of a gradient
    (got,) = torch.autograd.grad(loss, [weight])
    (known,) = torch.autograd.grad(expected, [weight])
    torch.testing.assert_close(got, known)


def test_the_gradient_penalty_goes_through_pooling_and_relu() -> None:
    """The slope along the weight that matters most, against a difference quotient."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = nn.Conv2d(1, 3, 3)
        model = nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3, 4))
        images, labels = torch.rand(6, 1, 4, 4), torch.arange(6) % 4
    settings = TrainSettings(recipe="gradient-penalty", gradient_penalty=5.0)

    def loss() -> Tensor:
        return RECIPES["gradient-penalty"].step(model, images, labels, settings)

    (slope,) = torch.autograd.grad(loss(), [first.weight])
    steepest = slope.abs().flatten().argmax()
    at = [loss().item()]
    for move in (1e-3, -2e-3):
        with torch.no_grad():
            first.weight.flatten()[steepest] += move
        at.append(loss().item())
    plain = cross_entropy_by_hand(model, images, labels)
    (without,) = torch.autograd.grad(plain, [first.weight])
    quotient = (at[1] - at[2]) / 2e-3
    assert slope.flatten()[steepest].item() == pytest.approx(quotient, rel=2e-2)
    assert without.flatten()[steepest].item() != pytest.approx(quotient, rel=0.1)


def test_free_moves_the_perturbation_by_eps_along_the_sign_and_carries_it_on() -> None:
    model, difference = two_classes()
    images, labels = inner_batch([0, 1, 0, 1])
    settings = TrainSettings(recipe="free", eps=EPS)
    memory: dict[str, Tensor] = {"perturbation": torch.full((3, 1, 4, 4), 0.01)}
    batch = Batch(images, labels, settings, memory=memory)
    stored = torch.cat((torch.full((3, 16), 0.01), torch.zeros(1, 16)))  # one image more than held
    for _ in range(3):
        task = RECIPES["free"].task(model, batch)
        torch.testing.assert_close(task.examples, images + stored.view_as(images))
        torch.autograd.backward(task.total())
        carry_on(batch, task.examples)
        away = torch.where(labels == 0, -1.0, 1.0)[:, None] * difference.sign()
        stored = (stored + EPS * away).clamp(-EPS, EPS)
        torch.testing.assert_close(memory["perturbation"].flatten(1), stored)


def test_ensemble_takes_every_maker_in_turn(batch: Pair) -> None:
    model, (images, labels) = linear(), batch
    with torch.random.fork_rng():
        torch.manual_seed(6)
        source = Linear()
    settings = TrainSettings(recipe="ensemble", eps=0.1)
    known = [moved_by_hand(maker, images, labels, 0.1) for maker in (model, source)]
    met = set()
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        adversarial = ensemble_examples(model, Batch(images, labels, settings, generator, [source]))
        met |= {number for number, one in enumerate(known) if torch.allclose(one, adversarial)}
    assert met == {0, 1}
