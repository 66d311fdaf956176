"""A rewritten copy says what the module says, with less work, and only where that is certain."""

import random
from collections.abc import Callable

import pytest
import torch
from tests.evaluation.masked import downhill
from torch import Tensor, fx, nn
from torch.nn import functional

from epsball.evaluation.engine.rewriting import rewritten

IMAGES = torch.rand((5, 3, 8, 8), generator=torch.Generator().manual_seed(0))


def settled(module: nn.Module) -> nn.Module:
    """Give batch norms statistics, scales and shifts that are not those they start with."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for value in (part.weight.data, part.bias.data, *part.buffers()):
                if value.is_floating_point():  # not the number of batches
                    value.copy_(0.5 + torch.rand(len(value), generator=generator))
    return module.double().eval()


def gradient(module: nn.Module, inputs: Tensor) -> Tensor:
    point = inputs.clone().requires_grad_()
    return torch.autograd.grad(module(point).square().sum(), point)[0]


def kinds(module: nn.Module) -> list[type]:
    assert isinstance(module, fx.GraphModule)
    parts = dict(module.named_modules())
    return [type(parts[str(n.target)]) for n in module.graph.nodes if n.op == "call_module"]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, inputs: Tensor) -> Tensor:
        plain = self.conv(inputs)
        lively = self.relu(plain + self.norm(plain))
        both: Tensor = self.pool(lively) + functional.avg_pool2d(lively, 2)
        return both.flatten(1)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.norm(self.conv(self.conv(inputs)))
        return result.flatten(1)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.body(inputs)
        return (result if result.mean() > 0 else -result).flatten(1)


def block() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Flatten(),
        nn.Linear(96, 4),
    )


@pytest.mark.parametrize("make", [block, Residual, Twice, Branching])
def test_same_scores_and_gradients(make: Callable[[], nn.Module]) -> None:
    module, inputs = settled(make()), IMAGES.double()
    rewrite = rewritten(module, IMAGES.double())
    assert torch.allclose(rewrite(inputs), module(inputs), rtol=0, atol=1e-12)
    assert torch.allclose(gradient(rewrite, inputs), gradient(module, inputs), rtol=0, atol=1e-10)


def test_folds_batch_norm_and_pools_before_relu() -> None:
    module = settled(block())
    assert kinds(rewritten(module, IMAGES.double())) == [
        nn.Conv2d,
        nn.MaxPool2d,
        nn.ReLU,
        nn.Flatten,
        nn.Linear,
    ]


def test_what_is_used_twice_stays() -> None:
    assert nn.BatchNorm2d in kinds(rewritten(settled(Residual()), IMAGES.double()))
    assert nn.BatchNorm2d in kinds(rewritten(settled(Twice()), IMAGES.double()))
    order = kinds(rewritten(settled(Residual()), IMAGES.double()))
    assert order.index(nn.ReLU) < order.index(nn.MaxPool2d)


def test_the_module_itself_is_left_alone() -> None:
    module = block()
    settled(module)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    rewritten(module, IMAGES.double())
    assert [type(part) for part in module] == [type(part) for part in block()]
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_branches_are_kept() -> None:
    assert isinstance(rewritten(settled(Branching()), IMAGES.double()), Branching)


@pytest.mark.parametrize(
    "draw",
    [lambda: torch.rand(3, 1, 1), lambda: random.random()],
)
def test_what_is_drawn_in_forward_is_not_frozen(draw: Callable[[], Tensor | float]) -> None:
    class Noisy(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return (inputs + draw()).flatten(1)

    rewrite = rewritten(Noisy().eval(), IMAGES)
    assert not torch.equal(rewrite(IMAGES), rewrite(IMAGES))


def test_hooks_still_fire() -> None:
    module, seen = block(), list[int]()
    settled(module)
    module[0].register_forward_hook(lambda *_: seen.append(1))
    rewritten(module, IMAGES.double())(IMAGES.double())
    assert len(seen) == 1


def test_batch_norm_in_train_mode_is_not_folded() -> None:
    module = settled(block()).train()
    assert nn.BatchNorm2d in kinds(rewritten(module, IMAGES.double()))


class Own(nn.Module):
    """A backward pass that a trace does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.body = block()

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.body(downhill(inputs))
        return result


class Cut(nn.Module):
    """A part without gradient that a trace does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.body = block()

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            mask = inputs.square()
        result: Tensor = self.body(inputs * mask)
        return result


@pytest.mark.parametrize("make", [Own, Cut])
def test_gradients_are_those_of_the_module(make: Callable[[], nn.Module]) -> None:
    module, inputs = settled(make()), IMAGES.double()
    rewrite = rewritten(module, inputs)
    assert torch.allclose(gradient(rewrite, inputs), gradient(module, inputs), rtol=0, atol=1e-10)


def test_a_view_is_reshaped_so_that_channels_last_will_do() -> None:
    class Viewing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            maps = self.body(inputs).relu()
            scores: Tensor = self.head(maps.view(maps.size(0), -1))
            return scores

    module = settled(Viewing())
    images = IMAGES.double()
    graph = rewritten(module, images).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    there = images.to(memory_format=torch.channels_last)
    assert torch.allclose(graph(there), module(images))
