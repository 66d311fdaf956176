import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from tests.wrappers import WRAPPERS, Holder, wrapped
from torch import Tensor, nn
from torch.nn.utils import parametrize

from epsball.identity import model_hash
from epsball.object_graph import walk

FACTOR = 1.0


def net(seed: float = 0.0) -> nn.Sequential:
    torch.manual_seed(int(seed))
    layers = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)
    return nn.Sequential(*layers).eval()


class Plain(nn.Module):
    """Keeps whatever it is given in plain attributes."""

    scale = 1.0

    def __init__(self, **kept: Any) -> None:
        super().__init__()
        self.net = net()
        vars(self).update(kept)

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.net(inputs) * self.scale * FACTOR
        return scores


class Factor(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = torch.tensor(value)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.value


def hooked(value: float) -> nn.Module:
    model = net()
    model[0].register_forward_hook(lambda module, inputs, output: output * value)
    return model


def hooked_before(value: float) -> nn.Module:
    model = net()
    model.register_forward_pre_hook(lambda module, inputs: (inputs[0] * value,))
    return model


def replaced(value: float) -> nn.Module:
    model = net()
    model.forward = lambda inputs: inputs * value  # type: ignore[method-assign]
    return model


def parametrised(value: float) -> nn.Module:
    model = net()
    parametrize.register_parametrization(model[0], "weight", Factor(value))
    return model


def quietly(make: Callable[[nn.Module], object]) -> Callable[[float], object]:
    def call(value: float) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(net(value))

    return call


class Settings(BaseModel):
    factor: float


def fitted(estimator: Any, value: float) -> Any:
    rng = np.random.default_rng(0)
    inputs, labels = rng.random((60, 4)), rng.integers(0, 3, 60)
    return clone(estimator).fit(inputs * value, labels)


# Each gives a model whose scores depend on the number.
KINDS: dict[str, Callable[[float], Any]] = {
    "tensor": lambda v: Plain(mean=torch.tensor(v)),
    "private tensor": lambda v: Plain(_mean=torch.tensor(v)),
    "private number": lambda v: Plain(_mean=v),
    "array": lambda v: Plain(mean=np.array([v])),
    "numpy number": lambda v: Plain(mean=np.float32(v)),
    "dictionary": lambda v: Plain(mean={"a": [torch.tensor(v)]}),
    "set": lambda v: Plain(mean={v, 9.0}),
    "object": lambda v: Plain(mean=Holder(torch.tensor(v))),  # type: ignore[arg-type]
    "list of modules": lambda v: Plain(nets=[net(v)]),
    "sparse tensor": lambda v: Plain(mean=(torch.eye(3) * v).to_sparse()),
    "hook": hooked,
    "hook before": hooked_before,
    "forward of its own": replaced,
    "parametrisation": parametrised,
    "frozen": quietly(lambda model: torch.jit.freeze(torch.jit.script(model))),
    "optimised": quietly(lambda model: torch.jit.optimize_for_inference(torch.jit.script(model))),
    "traced": quietly(lambda model: torch.jit.trace(model, torch.zeros(2, 1, 4, 4))),  # type: ignore[no-untyped-call]
    "exported": quietly(lambda m: torch.export.export(m, (torch.zeros(2, 1, 4, 4),)).module()),
    "quantised": quietly(lambda m: torch.ao.quantization.quantize_dynamic(m, {nn.Linear})),  # type: ignore[no-untyped-call]
    "compiled": lambda v: torch.compile(net(v), backend="eager"),
    "closure": lambda v: lambda inputs: inputs * v,
    "closure over a tensor": lambda v: (lambda t: lambda inputs: inputs * t)(torch.tensor(v)),
    "settings of pydantic": lambda v: Holder(Settings(factor=v)),  # type: ignore[arg-type]
    "decision tree": lambda v: Holder(fitted(DecisionTreeClassifier(random_state=0), v)),
    "forest": lambda v: Holder(fitted(RandomForestClassifier(3, random_state=0), v)),
    "support vectors": lambda v: Holder(fitted(SVC(), v)),
    "keyword": lambda v: lambda inputs, *, factor=v: inputs * factor,
    "deep": lambda v: wrapped(Holder(torch.tensor(v)), ["object"] * 15),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_decides_scores_decides_the_hash(kind: str) -> None:
    make = KINDS[kind]
    assert model_hash(make(1.0)) == model_hash(make(1.0))
    assert model_hash(make(1.0)) != model_hash(make(2.0))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=4), st.integers(0, 3))
def test_weights_behind_drawn_wrappers_decide_the_hash(names: list[str], at: int) -> None:
    model, same, other = net(), net(), net()
    parameter = list(other.parameters())[at]
    parameter.data.view(-1)[0] += 1e-6 + parameter.data.view(-1)[0].abs() * 1e-6
    hashes = [model_hash(wrapped(m, names)) for m in (model, same, other)]
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


@pytest.mark.parametrize(("place", "name"), [(globals(), "FACTOR"), (Plain, "scale")])
def test_global_and_class_attribute_that_are_read_count(
    place: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Plain()
    before = model_hash(model)
    if isinstance(place, dict):
        monkeypatch.setitem(place, name, 2.0)
    else:
        monkeypatch.setattr(place, name, 2.0)
    assert model_hash(model) != before
    monkeypatch.undo()
    assert model_hash(model) == before


def test_caches_of_libraries_do_not_count() -> None:
    # what pydantic, sklearn or epsball remember while a process runs is not the model's
    model = Holder(fitted(DecisionTreeClassifier(random_state=0), 1.0))
    seen = {type(value).__module__ for _, value in walk(model)}
    assert not {name for name in seen if name.startswith(("logging", "threading", "pydantic"))}
    assert sum(1 for _ in walk(model)) < 100


def test_bytes_between_the_fields_of_a_record_do_not_count() -> None:
    kind = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    bytes_of = [b"\x01" + gap * 7 + np.float64(2.5).tobytes() for gap in (b"\x00", b"\xff")]
    one, same = (Holder(np.frombuffer(data, kind)) for data in bytes_of)  # type: ignore[arg-type]
    assert model_hash(one) == model_hash(same)
    other = Holder(np.array([(1, 3.5)], kind))  # type: ignore[arg-type]
    assert model_hash(one) != model_hash(other)


def test_use_and_mode_do_not_count() -> None:
    model = Plain(mean=torch.tensor(0.5))
    before = model_hash(model)
    scores = model(torch.rand(2, 1, 4, 4))
    torch.autograd.grad(scores.sum(), list(model.parameters()))
    assert model_hash(model) == before
    assert model_hash(model.train()) == before


def test_without_weights_only_their_shapes_count() -> None:
    def hashed(model: nn.Module) -> str:
        return model_hash(model, weights=False)

    torch.manual_seed(0)
    one, other = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    other.weight.data += 1
    other(torch.rand(4, 3, 2, 2))  # moves the saved buffers
    assert hashed(one) == hashed(other)
    assert model_hash(one) != model_hash(other)
    assert hashed(one) != hashed(nn.BatchNorm2d(4))
    other.register_buffer("scale", torch.ones(1), persistent=False)
    before = hashed(other)
    other.get_buffer("scale").add_(1)  # no weight: nothing puts it back
    assert hashed(other) != before
