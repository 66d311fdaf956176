"""Each recipe's loss against its formula, written out by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.training.linear_models import cross_entropy_by_hand, linear, moved_by_hand
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from epsball.training import RECIPES, TrainSettings

Pair = tuple[Tensor, Tensor]
Build = Callable[[], nn.Module]
standard_step, fgsm_mix_step = RECIPES["standard"].step, RECIPES["fgsm-mix"].step


def test_standard_is_the_cross_entropy(batch: Pair) -> None:
    model = linear()
    loss = standard_step(model, *batch, TrainSettings())
    torch.testing.assert_close(loss, cross_entropy_by_hand(model, *batch))


def test_label_smoothing_gives_every_class_its_part(batch: Pair) -> None:
    model, (images, labels) = linear(), batch
    everything = -log_softmax(model(images), 1).mean()
    loss = standard_step(model, images, labels, TrainSettings(label_smoothing=0.2))
    expected = 0.8 * cross_entropy_by_hand(model, images, labels) + 0.2 * everything
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("name", RECIPES)
def test_penalties_are_raw_sums_over_weights_without_biases(name: str, batch: Pair) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10)).eval()
    sources = [linear()] if RECIPES[name].sources[0] else []
    extra: dict[str, Any] = {"eps": 0.1} if "eps" in RECIPES[name].parameters else {}
    plain = TrainSettings(recipe=name, **extra)
    weight = next(iter(model.parameters())).detach()
    expected = 0.01 * weight.abs().sum() + 0.003 * weight.pow(2).sum()

    def loss(settings: TrainSettings) -> Tensor:
        same = torch.Generator().manual_seed(0)  # a recipe may draw random starts
        return RECIPES[name].step(model, *batch, settings, same, sources=sources)

    added = loss(plain.changed(l1=0.01, l2=0.003)) - loss(plain)
    torch.testing.assert_close(added, expected)


def test_a_frozen_weight_costs_no_penalty(batch: Pair) -> None:
    model = linear()
    model.layer.weight.requires_grad_(False)
    with_penalty = standard_step(model, *batch, TrainSettings(l1=1.0, l2=1.0))
    torch.testing.assert_close(with_penalty, standard_step(model, *batch, TrainSettings()))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_fgsm_mix_weighs_clean_and_adversarial_loss(alpha: float, batch: Pair) -> None:
    model, (images, labels) = linear(), batch
    adversarial = moved_by_hand(model, images, labels, 0.1)
    expected = alpha * cross_entropy_by_hand(model, images, labels)
    expected = expected + (1 - alpha) * cross_entropy_by_hand(model, adversarial, labels)
    settings = TrainSettings(recipe="fgsm-mix", eps=0.1, alpha=alpha)
    torch.testing.assert_close(fgsm_mix_step(model, images, labels, settings), expected)


def test_the_true_reference_reads_the_label_and_the_others_do_not(batch: Pair) -> None:
    """Label leaking: under "true", other labels give other examples of the same images."""
    model, (images, labels) = linear(), batch
    logits = model(images)
    followed = {
        "true": (labels, 0.1),
        "predicted": (logits.argmax(1), 0.1),
        "least_likely": (logits.argmin(1), -0.1),
    }
    for reference, (classes, step) in followed.items():
        adversarial = moved_by_hand(model, images, classes, step)
        settings = TrainSettings(recipe="fgsm-mix", eps=0.1, alpha=0.0, reference=reference)
        loss = fgsm_mix_step(model, images, labels, settings)
        torch.testing.assert_close(loss, cross_entropy_by_hand(model, adversarial, labels))
    assert not torch.equal(logits.argmax(1), labels)  # or the first two could not be told apart


def test_the_random_reference_moves_towards_a_wrong_class_drawn_from_the_generator(
    batch: Pair,
) -> None:
    model, (images, labels) = linear(), batch
    one, same = images[:1], labels[:1]
    settings = TrainSettings(recipe="fgsm-mix", eps=0.1, alpha=0.0, reference="random")
    by_class = {
        wrong: cross_entropy_by_hand(
            model, moved_by_hand(model, one, torch.tensor([wrong]), -0.1), same
        ).item()
        for wrong in range(10)
        if wrong != int(same)
    }
    generator, met = torch.Generator().manual_seed(0), set()
    state = torch.get_rng_state()
    for _ in range(60):
        loss = fgsm_mix_step(model, one, same, settings, generator).item()
        met |= {wrong for wrong, known in by_class.items() if abs(known - loss) < 1e-6}
    assert met == set(by_class)
    assert torch.equal(torch.get_rng_state(), state)


def test_examples_are_made_in_eval_mode_and_the_mode_comes_back(build: Build, batch: Pair) -> None:
    model = build().train()
    frozen = model[1]  # type: ignore[index]  # a Sequential
    frozen.eval()
    modes: list[list[bool]] = []
    model.register_forward_hook(lambda *_: modes.append([m.training for m in model.modules()]))
    before = [module.training for module in model.modules()]
    fgsm_mix_step(model, *batch, TrainSettings(recipe="fgsm-mix", eps=0.1))
    assert modes == [before, [False] * len(before), before]
    assert [module.training for module in model.modules()] == before


def test_the_attack_leaves_running_statistics_to_the_two_training_passes(
    build: Build, batch: Pair
) -> None:
    model = build().train()
    fgsm_mix_step(model, *batch, TrainSettings(recipe="fgsm-mix", eps=0.1))
    assert int(model.state_dict()["1.num_batches_tracked"]) == 2


def test_no_gradient_flows_through_the_examples_but_the_weights_get_theirs(batch: Pair) -> None:
    model, (images, labels) = linear(), batch
    settings = TrainSettings(recipe="fgsm-mix", eps=0.1, alpha=0.0)
    loss = fgsm_mix_step(model, images, labels, settings)
    (got,) = torch.autograd.grad(loss, [model.layer.weight])
    fixed = moved_by_hand(model, images, labels, 0.1)
    (expected,) = torch.autograd.grad(
        cross_entropy_by_hand(model, fixed, labels), [model.layer.weight]
    )
    torch.testing.assert_close(got, expected)
