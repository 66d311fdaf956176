from types import ModuleType, SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wrappers import WRAPPERS, wrapped
from torch import Tensor, nn

from epsball.object_graph import modules_behind, walk


def net() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize("name", WRAPPERS)
def test_module_is_seen_behind_a_wrapper(name: str) -> None:
    inner = net()
    result = modules_behind(WRAPPERS[name](inner))
    assert any(inner is part for module in result.values() for part in module.modules())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(sorted(WRAPPERS)), min_size=1, max_size=4))
def test_module_is_seen_behind_drawn_wrappers(names: list[str]) -> None:
    inner = net()
    assert any(inner is value for _, value in walk(wrapped(inner, names)))


def test_module_of_a_users_own_module_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("mine")
    mine.net, mine.other = net(), nn.ReLU()  # type: ignore[attr-defined]
    monkeypatch.setitem(globals(), "mine", mine)

    def call(inputs: Tensor) -> Tensor:
        scores: Tensor = mine.net(inputs)
        return scores

    scope = {"mine": mine}
    exec("def call(inputs):\n    return mine.net(inputs)", scope)
    assert list(modules_behind(scope["call"]).values()) == [mine.net]


def test_compiled_module_is_told_from_the_machinery_around_it() -> None:
    inner = net()
    result = modules_behind(torch.compile(inner, backend="eager"))
    assert list(result) == [""]


def test_objects_that_hold_each_other_come_to_an_end() -> None:
    one, other = SimpleNamespace(), SimpleNamespace()
    one.other, other.one, other.net = other, one, net()
    assert len(modules_behind(one)) == 1


def test_callable_without_modules_has_none() -> None:
    assert modules_behind(lambda inputs: inputs.flatten(1)) == {}
