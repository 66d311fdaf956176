"""Recipe `generator`: its ball, its two networks' lessons, what its examples are worth, a kill."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file
from tests.training.conftest import digits_8x8
from tests.training.stopping import QUICK, Build, StopHere, equal, stop_at
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.geometry import random_in_ball, size
from epsball.training import RECIPES, TrainSettings, fresh_weights, train
from epsball.training.recipes.generator.generator import generator_examples
from epsball.training.recipes.generator.memory import descend, generator_weights, recall
from epsball.training.recipes.generator.nets import (
    discern,
    discriminator_shapes,
    drawn_weights,
    generator_shapes,
    perturb,
)
from epsball.training.recipes.spec import Batch
from epsball.training.recipes.table import recipe_of
from epsball.training.setup.settings import BallNorm
from epsball.types import Dataset

EPS: dict[BallNorm, float] = {"l2": 1.0, "linf": 0.2}
both_norms = pytest.mark.parametrize("norm", get_args(BallNorm))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def asked(norm: BallNorm = "l2", **changes: Any) -> TrainSettings:
    return TrainSettings(recipe="generator", eps=EPS[norm], norm=norm, **changes)


def wild(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Weights far beyond what training gives, biases too."""
    return {
        name: 30 * torch.randn(shape, generator=seeded(seed + number))
        for number, (name, shape) in enumerate(shapes.items())
    }


@both_norms
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 7, 10), (2, 1, 1), (1, 3, 5)])
def test_images_of_any_shape_stay_in_ball_and_box(
    norm: BallNorm, shape: tuple[int, int, int]
) -> None:
    images = torch.rand(6, *shape, generator=seeded()).round(decimals=1)  # some at 0, some at 1
    images[0] = 0
    for weights in (
        drawn_weights(generator_shapes(shape[0], 2), images, seeded()),
        wild(generator_shapes(shape[0], 2)),
    ):
        adversarial = perturb(weights, images, eps=EPS[norm], norm=norm).detach()
        assert adversarial.shape == images.shape
        assert adversarial.dtype == images.dtype
        assert (size(adversarial - images, norm) <= EPS[norm] + 1e-6).all()
        assert 0 <= adversarial.min() <= adversarial.max() <= 1
        assert (size(adversarial - images, norm) > 0).any()
    scores = discern(wild(discriminator_shapes(shape[0], 2)), images)
    assert scores.shape == (6,)
    assert scores.isfinite().all()


def test_where_no_pixel_is_cut_the_whole_radius_is_used() -> None:
    images = torch.full((3, 1, 8, 8), 0.5)
    weights = wild(generator_shapes(1, 2))
    lengths = size(perturb(weights, images, eps=0.2, norm="l2") - images, "l2")
    torch.testing.assert_close(lengths, torch.full((3,), 0.2))
    heights = size(perturb(weights, images, eps=0.2, norm="linf") - images, "linf")
    torch.testing.assert_close(heights, torch.full((3,), 0.2))


@both_norms
def test_a_image_without_a_direction_poisons_no_weight(norm: BallNorm, build: Build) -> None:
    """A black image under fresh weights: every layer gives exactly 0."""
    black = torch.zeros(4, 1, 8, 8)
    memory: dict[str, Tensor] = {}
    for _ in range(3):
        batch = Batch(black, torch.arange(4), asked(norm), seeded(), memory=memory)
        adversarial = generator_examples(build(), batch)
        assert adversarial.isfinite().all()
    assert all(value.isfinite().all() for value in memory.values())


@both_norms
def test_the_model_is_left_as_it_was(
    norm: BallNorm, build: Build, batch: tuple[Tensor, Tensor]
) -> None:
    model = build().train()
    model[1].eval()  # type: ignore[index]  # a Sequential
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, 7.0)
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.get_rng_state()
    with torch.no_grad():
        adversarial = generator_examples(model, Batch(*batch, asked(norm), seeded()))
        assert not torch.is_grad_enabled()
    assert not adversarial.requires_grad
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    for weight in model.parameters():
        assert weight.requires_grad
        assert weight.grad is not None
        assert (weight.grad == 7).all()
    assert torch.equal(torch.get_rng_state(), drawn)


def test_one_step_of_the_generator_is_adams_first_step_along_its_loss(
    build: Build, batch: tuple[Tensor, Tensor]
) -> None:
    """Adam's first step is the rate times the sign of the gradient."""
    images, labels = batch
    model = build().eval()
    for gan_weight in (0.5, 0.0):
        each, stored = asked(gan_weight=gan_weight, generator_lr=1e-4), dict[str, Tensor]()
        nets: dict[str, dict[str, Tensor]] = {}
        for net, shapes in (
            ("generator", generator_shapes),
            ("discriminator", discriminator_shapes),
        ):
            nets[net] = recall(stored, net, shapes(1, 8), images, seeded(1))
            nets[net] = {k: v.detach().clone().requires_grad_() for k, v in nets[net].items()}
        adversarial = perturb(nets["generator"], images, eps=1.0, norm="l2")
        loss = -nn.functional.cross_entropy(model(adversarial), labels)
        if gan_weight:
            real = torch.sigmoid(discern(nets["discriminator"], adversarial))
            loss = loss - gan_weight * real.log().mean()
        slopes = torch.autograd.grad(loss, list(nets["generator"].values()))
        got = generator_examples(model, Batch(images, labels, each, seeded(), memory=stored))
        assert torch.equal(got, adversarial.detach())  # made before the step
        for (name, before), slope in zip(nets["generator"].items(), slopes, strict=True):
            moved = stored[f"generator.{name}"] - before.detach()
            clear = slope.abs() > 1e-5
            torch.testing.assert_close(
                moved[clear], -1e-4 * slope.sign()[clear], rtol=1e-2, atol=1e-6
            )


def test_the_discriminator_learns_to_tell_and_the_generator_to_deceive_it(
    build: Build, batch: tuple[Tensor, Tensor]
) -> None:
    images, labels = batch
    model = build().eval()

    def gap(gan_weight: float) -> float:
        """How much cleaner clean images look, after some lessons of both networks."""
        memory: dict[str, Tensor] = {}
        settings = asked(gan_weight=gan_weight, generator_lr=3e-3)
        for _ in range(40):
            adversarial = generator_examples(
                model, Batch(images, labels, settings, seeded(), memory=memory)
            )
        judge = recall(memory, "discriminator", discriminator_shapes(1, 8), images, None)
        with torch.no_grad():
            return (discern(judge, images) - discern(judge, adversarial)).mean().item()

    assert gap(1e-6) > 2  # the generator does not care
    assert gap(100.0) < gap(1e-6) / 2


def test_without_weight_there_is_no_discriminator(
    build: Build, batch: tuple[Tensor, Tensor]
) -> None:
    memory: dict[str, Tensor] = {}
    generator_examples(build(), Batch(*batch, asked(gan_weight=0.0), seeded(), memory=memory))
    assert memory
    assert all(name.startswith("generator.") for name in memory)


def test_adam_goes_on_where_the_memory_says() -> None:
    """In pieces, each from the memory alone, as torch's Adam in one go."""
    start, slopes = torch.rand(3, 2, generator=seeded()), torch.randn(4, 3, 2, generator=seeded())
    memory = {"net.a.weight": start.clone(), "net.a.weight.step": torch.zeros(())}
    memory |= {f"net.a.weight.{what}": torch.zeros(3, 2) for what in ("exp_avg", "exp_avg_sq")}
    known = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([known], lr=0.01)
    for slope in slopes:
        descend(memory, "net", {"a.weight": slope}, 0.01)
        memory = {name: value.clone() for name, value in memory.items()}
        known.grad = slope.clone()
        optimizer.step()
    torch.testing.assert_close(memory["net.a.weight"], known.detach())
    assert memory["net.a.weight.step"] == 4


@both_norms
def test_it_fools_a_fixed_network_where_noise_of_the_same_size_does_not(norm: BallNorm) -> None:
    """Real digits; the generator is judged on digits that it has not seen."""
    data = digits_8x8(1500)
    pixels = torch.from_numpy(data.read(torch.arange(1500).numpy())).float() / 255
    labels = torch.from_numpy(data.labels)
    with fresh_weights(1):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(100):
        rows = torch.randperm(1000, generator=seeded(step))[:100]
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(pixels[rows]), labels[rows]))
        optimizer.step()
    memory: dict[str, Tensor] = {}
    for step in range(100):
        rows = torch.randperm(1000, generator=seeded(step))[:100]
        batch = Batch(pixels[rows], labels[rows], asked(norm), seeded(), memory=memory)
        generator_examples(model, batch)
    unseen, truth = pixels[1000:], labels[1000:]
    weights = recall(memory, "generator", generator_shapes(1, 8), unseen, None)
    noise = random_in_ball(unseen, EPS[norm], norm, seeded())
    noise = EPS[norm] * (
        noise.sign() if norm == "linf" else nn.functional.normalize(noise.flatten(1)).view_as(noise)
    )

    def accuracy(images: Tensor) -> float:
        with torch.no_grad():
            return float((model(images).argmax(1) == truth).double().mean())

    clean, noisy = accuracy(unseen), accuracy((unseen + noise).clamp(0, 1))
    fooled = accuracy(perturb(weights, unseen, eps=EPS[norm], norm=norm).detach())
    assert clean > 0.85
    assert noisy > clean - 0.15
    assert fooled < noisy - 0.3


def test_a_stopped_run_continues_with_the_same_three_networks(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(
        recipe="generator", eps=0.5, norm="l2", epochs=3, generator_width=2, watch_every=0
    )
    with pytest.raises(StopHere):
        train(build(), dataset, settings, out=tmp_path / "a", progress=stop_at(2, 8))
    for name in ("a", "b"):
        train(build(), dataset, settings, out=tmp_path / name)
    one, two = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("a", "b"))
    assert equal(one, two)
    kept = [key for key in two if key.startswith("memory.discriminator.")]
    assert {key.rpartition(".")[2] for key in kept} >= {"weight", "bias", "exp_avg", "step"}


def test_a_runs_generator_can_be_read_and_used(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = asked(epochs=1, batch_size=40, watch_every=0, generator_width=2)
    train(build(), dataset, settings, out=tmp_path / "run")
    weights = generator_weights(tmp_path / "run")
    assert {name: tuple(v.shape) for name, v in weights.items()} == generator_shapes(1, 2)
    images = torch.rand(3, 1, 8, 8, generator=seeded())
    adversarial = perturb(weights, images, eps=0.3, norm="l2")
    assert (size(adversarial - images, "l2") <= 0.3 + 1e-6).all()
    plain = TrainSettings(epochs=1, batch_size=40)
    train(build(), dataset, plain, out=tmp_path / "plain")
    with pytest.raises(InvalidInput, match="holds no generator; name the directory of a run"):
        generator_weights(tmp_path / "plain")
    with pytest.raises(InvalidInput, match="cannot be read"):
        generator_weights(tmp_path / "none")


def test_colour_images_of_odd_size_are_trained_on(tmp_path: Path) -> None:
    pixels = torch.randint(256, (40, 3, 9, 7), dtype=torch.uint8, generator=seeded()).numpy()
    labels = (torch.arange(40) % 3).numpy()
    data = Dataset("noise", labels, ("a", "b", "c"), (3, 9, 7), lambda rows: pixels[rows])
    with fresh_weights(0):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(140, 3))
    settings = asked("linf", epochs=2, batch_size=16, watch_every=0, eps_warmup=0.5)
    result = train(model, data, settings, out=tmp_path)
    assert len(result.epochs) == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"generator_lr": 0.0}, "generator_lr"),
        ({"generator_lr": float("inf")}, "generator_lr"),
        ({"generator_width": 0}, "generator_width"),
        ({"generator_width": 2.5}, "generator_width"),
        ({"gan_weight": -0.1}, "gan_weight"),
        ({"gan_weight": float("nan")}, "gan_weight"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as error:
        asked(**values)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_only_the_generator_reads_is_refused_elsewhere_and_eps_is_needed() -> None:
    with pytest.raises(InvalidInput, match="does not use gan_weight.*take generator"):
        recipe_of(TrainSettings(recipe="pgd", eps=0.1, gan_weight=0.3))
    with pytest.raises(InvalidInput, match="'generator' needs eps"):
        recipe_of(TrainSettings(recipe="generator"))
    with pytest.raises(InvalidInput, match="does not use attack_steps"):
        recipe_of(asked(attack_steps=3))
    assert RECIPES["generator"].sources == (0, 0)
