"""Every way in which an attack fails unnoticed has a model that causes it, and a finding."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tests.evaluation.conftest import CLASSES, SIDE, fit, pictures
from torch import Tensor, nn

from epsball import audit
from epsball.attacks import bpda, expectation, pgd
from epsball.errors import InvalidInput
from epsball.evaluation.audit import Audit
from epsball.evaluation.findings import FINDINGS
from epsball.models.bit_depth import BitDepth
from epsball.models.defended import defended
from epsball.types import Finding

# codes that stand for one of the six indicators; docs/findings.md has the table
INDICATORS = {
    "no-gradient",
    "zero-gradient",
    "random-forward",
    "gradient-noise",
    "silent-success",
    "not-converged",
    "transfer-failure",
    "unconstrained-failure",
}
EPS = 0.2


def run(model: object, data: object = None, **asked: Any) -> Audit:
    asked = {"attacks": ["pgd:steps=10"], "eps": [EPS]} | asked
    return audit(model, data or pictures(40), **asked)  # type: ignore[arg-type]  # any classifier


def raised(found: Audit) -> dict[str, Finding]:
    return {one.code: one for one in found.findings if one.code in INDICATORS}


def rate(found: Audit, row: int = 0) -> float:
    robust: float = found.summary["results"][row]["robust_accuracy"]
    return robust


class Around(nn.Module):
    """A model with something done before and after; in eval mode."""

    def __init__(
        self,
        inner: Callable[[Tensor], Tensor],
        before: Callable[[Tensor], Tensor] = lambda x: x,
        after: Callable[[Tensor], Tensor] = lambda z: z,
    ) -> None:
        super().__init__()
        self.inner, self.before, self.after = inner, before, after
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.after(self.inner(self.before(inputs)))


# honest models


@pytest.fixture(scope="module", params=["linear", "tanh", "relu"])
def honest(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    first = [nn.Flatten(), nn.Linear(SIDE * SIDE, CLASSES)]
    bend = nn.Tanh() if request.param == "tanh" else nn.ReLU()
    deep = [nn.Flatten(), nn.Linear(SIDE * SIDE, 32), bend, nn.Linear(32, CLASSES)]
    return fit(nn.Sequential(*(first if request.param == "linear" else deep)))


@pytest.mark.parametrize("eps", [[0.02], [0.1, 0.3]])
@pytest.mark.parametrize("full_budget", [False, True])
def test_an_honest_model_raises_none(
    model: nn.Module, honest: nn.Module, eps: list[float], full_budget: bool
) -> None:
    attacks = ["pgd:steps=10", "bim", "mifgsm", "apgd:steps=10"]
    for good in (model, honest):
        assert raised(run(good, attacks=attacks, eps=eps, full_budget=full_budget)) == {}


@pytest.mark.parametrize("full_budget", [False, True])
def test_an_honest_copy_in_low_precision_raises_none(model: nn.Module, full_budget: bool) -> None:
    found = run(model, attacks=["pgd:steps=10"], precision="fast", full_budget=full_budget)
    assert raised(found) == {}


@pytest.mark.parametrize(("norm", "eps"), [("l2", 1.0), ("l1", 3.0)])
def test_an_honest_model_raises_none_in_other_norms(
    model: nn.Module, norm: str, eps: float
) -> None:
    attacks = ["apgd:steps=10"] + (["pgd:steps=10", "deepfool"] if norm == "l2" else [])
    assert raised(run(model, norm=norm, attacks=attacks, eps=[eps])) == {}


def test_rounding_with_a_gradient_of_its_own_is_honest(model: nn.Module) -> None:
    for levels in (2, 8, 255):
        coarse = bpda(lambda x, top=levels: (x * top).round() / top)  # type: ignore[misc]  # a default binds
        assert raised(run(Around(model, before=coarse), eps=[0.02, EPS])) == {}


def test_what_is_wrong_when_clean_is_not_looked_at(model: nn.Module) -> None:
    images, labels = pictures(40)
    assert raised(run(model, (images, (labels + 1) % CLASSES))) == {}


# 1. unavailable gradients, and 6. attacks that fail with every picture allowed


def saturated(model: nn.Module) -> nn.Module:
    return Around(model, after=lambda z: 1e4 * z)


@pytest.mark.parametrize("attack", ["pgd:steps=10", "bim", "apgd:steps=10"])
def test_saturated_logits(model: nn.Module, attack: str) -> None:
    found = run(saturated(model), attacks=[attack])
    assert {"zero-gradient", "unconstrained-failure"} <= raised(found).keys()
    assert rate(found) == 1
    for code in ("zero-gradient", "unconstrained-failure"):
        assert "objective=margin" in raised(found)[code].remedy
    left = raised(found)["unconstrained-failure"].evidence
    assert (left["left"], left["of"]) == (16, 16)


def test_the_margin_sees_through_saturation(model: nn.Module) -> None:
    found = run(saturated(model), attacks=["pgd:steps=10,objective=margin"])
    assert "unconstrained-failure" not in raised(found)
    assert rate(found) < 0.1


def quantised(inputs: Tensor) -> Tensor:
    return (inputs * 8).round() / 8


def test_quantised_input(model: nn.Module) -> None:
    found = run(Around(model, before=quantised))
    assert raised(found).keys() == {"no-gradient"}
    assert found.blocked
    remedy = raised(found)["no-gradient"].remedy
    assert "bpda" in remedy
    assert "--attack square" in remedy
    mended = run(Around(model, before=bpda(quantised)))
    assert raised(mended) == {}
    assert rate(mended) < 0.1


def test_a_step_that_is_not_differentiable_is_refused(model: nn.Module) -> None:
    with pytest.raises(InvalidInput, match="--attack square or hopskipjump"):
        run(Around(model, before=lambda x: torch.from_numpy(x.detach().numpy().round(1))))


class Reversed(torch.autograd.Function):
    """The identity, with a gradient that leads downhill."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def test_a_gradient_that_leads_downhill(model: nn.Module) -> None:
    swap: Any = Reversed.apply  # torch leaves it untyped
    found = run(Around(model, before=swap))
    assert {"gradient-noise", "unconstrained-failure"} <= raised(found).keys()
    assert rate(found) == 1


def test_a_minimal_attack_that_finds_nothing_at_any_distance(model: nn.Module) -> None:
    swap: Any = Reversed.apply
    found = run(Around(model, before=swap), attacks=["deepfool"])
    assert raised(found)["unconstrained-failure"].evidence["of"] == 40
    assert "--attack square" in raised(found)["unconstrained-failure"].remedy


# 2. unstable predictions


def test_random_layer(model: nn.Module) -> None:
    noisy = Around(model, before=lambda x: x + 0.05 * torch.randn_like(x))
    found = raised(run(noisy))
    assert found.keys() == {"random-forward"}
    assert "EoT" in found["random-forward"].remedy
    assert "expectation" in found["random-forward"].remedy


def rippled(model: nn.Module) -> nn.Module:
    """A model with ripples too low to matter and too steep to see beyond."""
    return Around(model, before=lambda x: quantised(x) + 1e-3 * torch.sin(2e4 * x))


def test_a_loss_with_ripples(model: nn.Module) -> None:
    found = run(rippled(model), attacks=["pgd:steps=10", "square:queries=150"])
    assert rate(found) == 1
    noise = raised(found)["gradient-noise"]
    assert noise.evidence["images"] == noise.evidence["of"] == 16
    assert "EoT: epsball.attacks.expectation" in noise.remedy
    assert "--attack square or strongest" in noise.remedy
    assert rate(found, 1) < 0.2  # square, the remedy


def test_the_mean_over_small_noise_sees_beyond_the_ripples(model: nn.Module) -> None:
    images, labels = pictures(20)
    inputs = images.float() / 255
    masked = rippled(model)
    steady = expectation(lambda x: masked(x + 0.1 * torch.randn_like(x)), samples=16)

    def wrong(search: Callable[[Tensor], Tensor]) -> int:
        generator = torch.Generator().manual_seed(0)
        made = pgd(search, inputs, labels, eps=EPS, steps=10, generator=generator)
        return int((masked(made).argmax(1) != labels).sum())

    torch.manual_seed(0)
    assert wrong(masked) <= 2
    assert wrong(steady) >= 15


def test_ripples_are_reported_once(model: nn.Module) -> None:
    found = run(rippled(model), attacks=["pgd:steps=5", "fgsm", "bim"])
    assert [one.code for one in found.findings].count("gradient-noise") == 1


# 3. silent success


class Shells(nn.Module):
    """Two classes that take turns as a picture gets brighter: a border can be overstepped."""

    def forward(self, inputs: Tensor) -> Tensor:
        brightness = (inputs - 0.5).flatten(1).mean(1)
        height = 5 * torch.sin(10 * torch.pi * brightness)
        return torch.stack([height, -height], 1)


def two_tones(count: int, apart: int) -> tuple[Tensor, Tensor]:
    images = torch.full((count, 1, 4, 4), 128 + apart, dtype=torch.uint8)
    images[count // 2 :] = 127 - apart
    return images, (torch.arange(count) >= count // 2).long()


def test_a_success_that_is_passed_over() -> None:
    asked: dict[str, Any] = {"attacks": ["bim:steps=10,step_size=0.12"], "eps": [0.4]}
    found = run(Shells().eval(), two_tones(20, 6), full_budget=True, **asked)
    assert rate(found) == 1
    silent = raised(found)["silent-success"]
    assert silent.evidence["images"] == 16
    assert "best point" in silent.remedy
    assert "pgd" in silent.remedy
    assert "--full-budget" in silent.remedy
    # either remedy: a walk that ends at its success, an attack that keeps its best point
    early = run(Shells().eval(), two_tones(20, 6), **asked)
    best = run(Shells().eval(), two_tones(20, 6), eps=[0.4], full_budget=True)
    for mended in (early, best):
        assert "silent-success" not in raised(mended)
        assert rate(mended) == 0


# 4. incomplete optimisation


@pytest.mark.parametrize(
    "attack", ["pgd:steps=10,step_size=0.0005", "pgd:steps=2,step_size=0.03", "bim:steps=1"]
)
def test_too_few_steps(model: nn.Module, attack: str) -> None:
    images, labels = pictures(40)
    found = run(model, (images, labels), attacks=[attack], eps=[0.13])
    if attack == "bim:steps=1":  # one long step does nearly all that many do on this model
        assert raised(found) == {}
        return
    assert raised(found).keys() == {"not-converged"}
    assert [one.code for one in found.findings].count("not-converged") == 1
    assert "--steps" in raised(found)["not-converged"].remedy
    assert "--restarts" in raised(found)["not-converged"].remedy


# 5. transfer failure


class Brightness(nn.Module):
    """Two classes by brightness. A pattern that brightness does not show can mislead it."""

    def __init__(self, credulous: float) -> None:
        super().__init__()
        self.head = nn.Linear(16, 2)
        signs = torch.tensor([1.0, -1.0]).repeat(8)
        self.register_buffer("weights", (1 + credulous * signs) / 16)

    def forward(self, inputs: Tensor) -> Tensor:
        height = 20 * ((inputs - 0.5).flatten(1) * self.weights).sum(1)
        return torch.stack([height, -height], 1)


class TwoFaced(Brightness):
    """In bfloat16 it falls for what it withstands in float32."""

    def forward(self, inputs: Tensor) -> Tensor:
        low = self.head.weight.dtype == torch.bfloat16
        return Brightness(20.0 if low else 0.0)(inputs)  # type: ignore[no-any-return]  # torch's


class Hiding(Around):
    """A model without gradients whose own stand-in is another model."""

    def relaxed(self) -> nn.Module:
        return Brightness(20.0).eval()


@pytest.mark.parametrize("full_budget", [False, True])
def test_a_copy_in_low_precision_that_does_not_transfer(full_budget: bool) -> None:
    asked: dict[str, Any] = {"eps": [0.05], "full_budget": full_budget}
    found = run(TwoFaced(0.0).eval(), two_tones(20, 20), precision="fast", **asked)
    assert rate(found) == 1
    transfer = raised(found)["transfer-failure"]
    assert transfer.evidence["lost"] == transfer.evidence["fooled"] == 16
    assert "--precision float32" in transfer.remedy
    mended = run(TwoFaced(0.0).eval(), two_tones(20, 20), precision="float32", **asked)
    assert raised(mended) == {}


def test_a_stand_in_that_does_not_transfer() -> None:
    hiding = Hiding(Brightness(0.0), before=quantised)
    found = run(hiding, two_tones(20, 20), attacks=["strongest"], eps=[0.03])
    assert "relaxed()" in raised(found)["transfer-failure"].message
    assert "bpda" in raised(found)["transfer-failure"].remedy


def test_a_stand_in_with_the_scores_of_its_model_transfers(model: nn.Module) -> None:
    found = run(defended(model, BitDepth(bits=3)), pictures(20), attacks=["strongest"])
    assert raised(found) == {}
    assert rate(found) < 0.1


# the whole


@pytest.fixture
def listed() -> Iterator[set[str]]:
    yield INDICATORS


def test_every_indicator_is_a_finding_that_does_not_forbid_a_rate_but_one(
    listed: set[str],
) -> None:
    assert {code for code in listed if FINDINGS[code].severity == "blocking"} == {"no-gradient"}
    assert {FINDINGS[code].severity for code in listed - {"no-gradient"}} == {"warning"}
