"""Models that hide their gradients, each in another way, honest ones, and how they are audited."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from tests.evaluation.conftest import CLASSES, SIDE, fit, sample_images
from torch import Tensor, nn

from epsball import audit
from epsball.evaluation.result import Audit
from epsball.types import Finding

# codes that stand for one of the six indicators; docs/findings.md has the table
INDICATORS = {
    "no-gradient",
    "zero-gradient",
    "random-forward",
    "few-draws",
    "gradient-noise",
    "silent-success",
    "not-converged",
    "transfer-failure",
    "unconstrained-failure",
}
EPS = 0.2


def run(model: object, data: object = None, **options: Any) -> Audit:
    options = {"attacks": ["pgd:steps=10"], "eps": [EPS]} | options
    return audit(model, data or sample_images(30), **options)  # type: ignore[arg-type]  # any classifier


def raised(found: Audit) -> dict[str, Finding]:
    return {one.code: one for one in found.findings if one.code in INDICATORS}


def rate(found: Audit, row: int = 0) -> float:
    robust: float = found.summary["results"][row]["robust_accuracy"]
    return robust


def other_models() -> Iterator[nn.Module]:
    """Yield honest models of other kinds."""
    torch.manual_seed(0)
    yield fit(nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, CLASSES)))
    for bend in (nn.Tanh(), nn.ReLU()):
        wide = nn.Linear(SIDE * SIDE, 32)
        yield fit(nn.Sequential(nn.Flatten(), wide, bend, nn.Linear(32, CLASSES)))


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


def saturated(model: nn.Module) -> nn.Module:
    return Around(model, after=lambda z: 1e4 * z)


def quantised(inputs: Tensor) -> Tensor:
    return (inputs * 8).round() / 8


def rippled(model: nn.Module) -> nn.Module:
    """A model with ripples too low to matter and too steep to see beyond."""
    return Around(model, before=lambda x: x + 2e-4 * torch.sin(2e4 * x))


def quantised_and_rippled(model: nn.Module) -> nn.Module:
    """A model whose only gradient is that of the ripples."""
    return Around(model, before=lambda x: quantised(x) + 1e-3 * torch.sin(2e4 * x))


class Reversed(torch.autograd.Function):
    """The identity, with a gradient that leads downhill."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def downhill(inputs: Tensor) -> Tensor:
    """The images themselves, with minus their gradient."""
    swap: Any = Reversed.apply  # torch leaves it untyped
    given: Tensor = swap(inputs)
    return given


class Shells(nn.Module):
    """Two classes that take turns as an image gets brighter: a border can be overstepped."""

    def forward(self, inputs: Tensor) -> Tensor:
        brightness = (inputs - 0.5).flatten(1).mean(1)
        height = 5 * torch.sin(10 * torch.pi * brightness)
        return torch.stack([height, -height], 1)


def two_tones(count: int, apart: int) -> tuple[Tensor, Tensor]:
    images = torch.full((count, 1, 4, 4), 128 + apart, dtype=torch.uint8)
    images[count // 2 :] = 127 - apart
    return images, (torch.arange(count) >= count // 2).long()


class Brightness(nn.Module):
    """Two classes by brightness. A pattern that brightness does not show can mislead it."""

    weights: Tensor

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
