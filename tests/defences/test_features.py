"""Layers: found, listed, read with and without gradient, and left as they were."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from epsball.defences import Features, layers_of
from epsball.defences.base.last_layers import last_layers
from epsball.models import MODELS

Refusal = Callable[[Callable[[], object]], str]


class Odd(nn.Module):
    """Layers that cannot be read, each for a reason of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(4, 4)
        self.never = nn.Linear(4, 4)
        self.pair = Pair()
        self.whole = Total()
        self.broken = False

    def forward(self, inputs: Tensor) -> Tensor:
        flat = self.twice(self.twice(inputs.flatten(1)))
        if self.broken:
            raise RuntimeError("broken")
        one, other = self.pair(flat)
        self.whole(flat)
        scores: Tensor = one + other
        return scores


class Pair(nn.Module):
    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, inputs


class Total(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.sum(0)


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_layers_are_listed_with_their_shapes(net: nn.Module) -> None:
    listed = {layer.name: layer for layer in layers_of(net, (1, 8, 8))}
    assert listed["conv"].shape == (8, 8, 8)
    assert listed["conv"].features == 512
    assert listed["conv"].kind == "Sequential"
    assert listed["second.1"].kind == "ReLU"
    assert list(listed)[-1] == "output"
    assert "dropout" not in listed  # called twice
    assert hooks(net) == 0
    assert list(listed) == [layer.name for layer in layers_of(net, torch.rand(3, 1, 8, 8))]


def test_layers_that_cannot_be_read_are_left_out() -> None:
    assert layers_of(Odd().eval(), (1, 2, 2)) == []


def test_activations_are_those_of_the_layer(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    images = digits[0][:7]
    read = Features(net, ("conv", "second"))(images)
    conv = net.get_submodule("conv")(images)
    assert torch.equal(read["conv"], conv.flatten(1))
    assert read["second"].shape == (7, 32)
    assert hooks(net) == 0


def test_collected_activations_are_the_same_batch_by_batch(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images = digits[0][:50]
    features = Features(net, ("first",))
    collected = features.collect([images[:16], images[16:]])
    assert not collected["first"].requires_grad
    assert torch.allclose(collected["first"], features(images)["first"], atol=1e-6)


def test_the_gradient_goes_through(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    images = digits[0][:3].clone().requires_grad_()
    value = Features(net, ("second",))(images)["second"].sum()
    (gradient,) = torch.autograd.grad(value, images)
    assert float(gradient.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in net.parameters())


def test_what_follows_in_place_does_not_reach_a_copy() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Identity(), nn.ReLU(inplace=True)).eval()
    read = Features(model, ("1",))(torch.full((1, 1, 1, 2), -1.0))
    assert read["1"].tolist() == [[-1.0, -1.0]]


def test_hooks_are_gone_after_an_error(refusal: Refusal) -> None:
    model = Odd().eval()
    model.broken = True
    with pytest.raises(RuntimeError, match="broken"):
        Features(model, ("twice",))(torch.rand(2, 1, 2, 2))
    assert hooks(model) == 0
    with pytest.raises(RuntimeError, match="broken"):
        layers_of(model, (1, 2, 2))
    assert hooks(model) == 0


def test_unreadable_layers_are_refused(refusal: Refusal) -> None:
    model, images = Odd().eval(), torch.rand(2, 1, 2, 2)
    assert "'twice' is called 2 times" in refusal(lambda: Features(model, ("twice",))(images))
    assert "'never' is called 0 times" in refusal(lambda: Features(model, ("never",))(images))
    assert "got tuple" in refusal(lambda: Features(model, ("pair",))(images))
    assert "got (4,)" in refusal(lambda: Features(model, ("whole",))(images))


def test_unknown_layers_name_those_that_are_near(net: nn.Module, refusal: Refusal) -> None:
    message = refusal(lambda: Features(net, ("sekond",)))
    assert message.startswith("unknown layer 'sekond': known: second, ")
    assert "conv.0" in message
    inner = refusal(lambda: Features(nn.Sequential(net), ("second",)))
    assert "known: 0.second, " in inner
    deep = nn.Sequential(*(nn.Identity() for _ in range(50)))
    assert "and 30 more" in refusal(lambda: Features(deep, ("x",)))
    assert "list of names" in refusal(lambda: Features(net, ()))
    assert "list of names" in refusal(lambda: Features(net, "conv"))  # type: ignore[arg-type]  # on purpose
    assert "torch.nn.Module" in refusal(lambda: Features(lambda x: x, ("conv",)))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("base-cnn", ("layer5.1", "layer7.1", "layer8.1")),
        ("mlp", ("dropout",)),  # its ReLU is a function; in eval mode this is what it gives
    ],
)
def test_the_last_layers_are_the_last_hidden_activations(
    name: str, wanted: tuple[str, ...]
) -> None:
    model = MODELS[name].build().eval()
    example = torch.rand((1, *MODELS[name].input_shape))
    result = last_layers(model, example, 3)
    assert result == wanted
    assert last_layers(model, example, 1) == wanted[-1:]


def test_a_model_without_hidden_layers_has_none_to_choose(refusal: Refusal) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    assert "name layers" in refusal(lambda: last_layers(model, torch.rand(1, 1, 2, 2), 1))


class Residual(nn.Module):
    """A block that adds what came in; one ReLU is called twice, or the block begins with one."""

    def __init__(self, width: int, *, first: bool = False) -> None:
        super().__init__()
        self.first = first
        self.a, self.b = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 1)
        self.relu = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        if self.first:
            return inputs + self.b(self.a(self.relu(inputs)))  # type: ignore[no-any-return]  # torch's
        return self.relu(inputs + self.b(self.relu(self.a(inputs))))  # type: ignore[no-any-return]  # torch's


class Spread(nn.Module):
    """A block that joins two convolutions, as a fire module does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(width, width // 2, 1), nn.Conv2d(width, width // 2, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([self.a(inputs), self.b(inputs)], 1).relu()


class Plain(nn.Module):
    """A block that joins nothing and ends with its last part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.mean = nn.AvgPool2d(1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.mean(self.b(self.a(inputs)))  # type: ignore[no-any-return]  # torch's


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        (Residual, ("1.0", "1.1", "4")),
        (lambda width: Residual(width, first=True), ("1.1.relu", "2.relu", "4")),
        (Spread, ("1.0", "1.1", "4")),
        (Plain, ("1.1.mean", "2.a", "4")),
    ],
)
def test_a_block_that_joins_its_parts_speaks_for_itself(
    block: Callable[[int], nn.Module], wanted: tuple[str, ...]
) -> None:
    stage = nn.Sequential(block(4), block(4))
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    model = nn.Sequential(nn.Conv2d(1, 4, 3), stage, block(4), *head).eval()
    assert last_layers(model, torch.rand(2, 1, 6, 6), 3) == wanted


def test_a_body_that_occurs_once_is_no_block() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Spread(4), nn.Flatten(), nn.Linear(64, 2)).eval()
    assert last_layers(model, torch.rand(2, 1, 6, 6), 2) == ("1.a", "2")
