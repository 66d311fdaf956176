"""Whatever a forward pass moves is put back: tensors, wherever they are, modes, gradients."""

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.wrappers import behind_generator
from torch import Tensor, nn

from epsball import audit
from epsball.errors import EpsballError
from epsball.models.state import KeptState

IMAGES = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))


class Around(nn.Module):
    """A classifier that does something to itself before it answers."""

    count: Tensor

    def __init__(self, act: Callable[[Any], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 3))
        self.act = act
        self.mean = torch.zeros(3)
        self.boxed = SimpleNamespace(count=torch.zeros(()))
        self.register_buffer("count", torch.zeros(()))
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            self.act(self)
        scores: Tensor = self.net(inputs)
        return scores + self.mean


def replace_buffer(model: Any) -> None:
    model.count = model.count + 1


def replace_attribute(model: Any) -> None:
    model.mean = model.mean + 1


def adapt(model: Any) -> None:
    model.net[2].weight.mul_(1.5)


def train(model: Any) -> None:
    model.net[0].train()


def store_gradient(model: Any) -> None:
    model.net[2].weight.grad = torch.ones(3, 4)


def add_to_gradient(model: Any) -> None:
    model.net[2].bias.grad.add_(1)


def count_in_place(model: Any) -> None:
    model.boxed.count.add_(1)


ACTS = (
    replace_buffer,
    replace_attribute,
    adapt,
    train,
    store_gradient,
    add_to_gradient,
    count_in_place,
)


def values(model: Around) -> list[Any]:
    weight, bias = model.net[2].weight, model.net[2].bias
    tensors = [*model.state_dict().values(), model.mean, model.boxed.count, bias.grad]
    return [
        *(t.clone() for t in tensors if isinstance(t, Tensor)),
        weight.grad is None,
        [part.training for part in model.modules()],
    ]


def equal(one: list[Any], other: list[Any]) -> bool:
    return all(
        torch.equal(a, b) if isinstance(a, Tensor) else a == b
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("act", ACTS)
def test_what_a_forward_pass_moves_is_named_and_put_back(act: Callable[[Any], object]) -> None:
    model = Around(act)
    model.net[2].bias.grad = torch.zeros(3)
    before, state = values(model), KeptState(model)
    assert state.moved() == []
    model(IMAGES)
    assert not equal(before, values(model))
    assert len(state.moved()) == 1
    state.restore()
    assert equal(before, values(model))
    assert state.moved() == []


def test_a_result_that_a_model_stores_is_no_state() -> None:
    def store(model: Any) -> None:
        model.features = torch.rand(len(IMAGES), 3)

    model = Around(store)
    model.features = torch.zeros(9, 3)
    state = KeptState(model)
    model(IMAGES)
    assert state.moved() == []


@pytest.mark.parametrize("inside", [False, True])
def test_a_tensor_that_a_frozen_script_shares_with_its_network_is_put_back(inside: bool) -> None:
    model = Around(lambda part: part.count.add_(1))
    whole = nn.Sequential(nn.Identity(), model).eval() if inside else model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(whole, IMAGES)  # type: ignore[no-untyped-call]
        frozen = torch.jit.freeze(traced)
    before, state = float(model.count), KeptState(frozen)
    frozen(IMAGES)
    assert float(model.count) == before + 1
    assert len(state.moved()) == 1
    state.restore()
    assert float(model.count) == before


@pytest.mark.parametrize("labels", [[0, 1, 2, 7], [0, 1, 2, 0]])
def test_a_refusal_leaves_the_model_as_it_was(labels: list[int]) -> None:
    model = Around(lambda part: part.count.add_(1))
    with pytest.raises(EpsballError, match=r"out of range|unknown class"):
        audit(
            lambda images: model(images),
            (IMAGES, torch.tensor(labels)),
            attacks=["fgsm"],
            eps=[0.1],
            target="nobody" if labels[-1] == 0 else None,
        )
    assert float(model.count) == 0


def test_train_mode_behind_a_generator_is_seen() -> None:
    model = Around(lambda _: None).train()
    data = (IMAGES, torch.tensor([0, 1, 2, 0]))
    report = audit(behind_generator(model), data, attacks=["fgsm"], eps=[0.1])
    assert [finding.code for finding in report.findings] == ["train-mode"]
