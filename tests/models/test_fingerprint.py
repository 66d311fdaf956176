import contextvars
import functools
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.wrappers import behind_generator
from torch import Tensor, nn

from epsball.models import Pipeline, Preprocess, count_parameters, fingerprint


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.5))


def test_equal_models_have_equal_hashes() -> None:
    assert fingerprint(net()) == fingerprint(net())
    assert len(fingerprint(net())) == 64


def test_mode_and_use_do_not_count() -> None:
    model = net()
    before = fingerprint(model.train())
    model(torch.rand(2, 1, 2, 2))
    assert fingerprint(model.eval()) == before


def test_address_in_a_printed_structure_does_not_count() -> None:
    class Odd(nn.Module):
        def extra_repr(self) -> str:
            return repr(object())

    kept = [Odd(), Odd()]
    assert fingerprint(kept[0]) == fingerprint(kept[1])


def changed_weight(model: nn.Sequential) -> nn.Module:
    model.get_parameter("1.weight").data[0, 0] += 1e-6
    return model


def other_type(model: nn.Sequential) -> nn.Module:
    return model.half()


def other_activation(model: nn.Sequential) -> nn.Module:
    model[2] = nn.GELU()
    return model


def temperature(model: nn.Sequential) -> nn.Module:
    model.temperature = 2.0  # type: ignore[assignment]  # a plain attribute
    return model


def temporary_buffer(model: nn.Sequential) -> nn.Module:
    model.register_buffer("shift", torch.ones(1), persistent=False)
    return model


CHANGES = [changed_weight, other_type, other_activation, temperature, temporary_buffer]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_decides_scores_counts(change: Callable[[nn.Module], nn.Module]) -> None:
    assert fingerprint(change(net())) != fingerprint(net())


@pytest.mark.parametrize(
    "settings", [{"mean": (0.5,)}, {"std": (0.5,)}, {"resize": 4}, {"channels": "gray"}]
)
def test_preprocessing_counts(settings: dict[str, Any]) -> None:
    plain = fingerprint(Pipeline(Preprocess(), net()))
    assert fingerprint(Pipeline(Preprocess(**settings), net())) != plain


def scaled(inputs: Tensor, *, by: float = 1.0) -> Tensor:
    return inputs.flatten(1) * by


def also_scaled(inputs: Tensor, *, by: float = 1.0) -> Tensor:
    return inputs.flatten(1) * by + 0


class Holder:
    def __init__(self, model: nn.Module, table: object) -> None:
        self.model, self.table = model, table

    def __call__(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.model(inputs)
        return scores

    def named(self, inputs: Tensor) -> Tensor:
        return self(inputs)


def closure(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda inputs: model(inputs)


MODEL = net(7)


def uses_global(inputs: Tensor) -> Tensor:
    scores: Tensor = MODEL(inputs)
    return scores


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (scaled, also_scaled),
        (functools.partial(scaled, by=1.0), functools.partial(scaled, by=2.0)),
        (closure(net(0)), closure(net(1))),
        (Holder(net(0), 1), Holder(net(1), 1)),
        (Holder(net(0), 1), Holder(net(0), 2)),
        (Holder(net(0), {"a": np.ones(3)}), Holder(net(0), {"a": np.zeros(3)})),
        (Holder(net(0), [torch.ones(2)]), Holder(net(0), [torch.zeros(2)])),
        (Holder(net(0), 1).named, Holder(net(1), 1).named),
        (Pipeline(Preprocess(), closure(net(0))), Pipeline(Preprocess(), closure(net(1)))),
    ],
    ids=["source", "bound", "cell", "inner", "setting", "array", "list", "method", "pipeline"],
)
def test_callables_are_told_apart(one: Callable[..., Any], other: Callable[..., Any]) -> None:
    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint(other)


def test_model_that_a_function_looks_up_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(uses_global)
    monkeypatch.setitem(globals(), "MODEL", net(8))
    assert fingerprint(uses_global) != before


def test_objects_that_hold_each_other_come_to_an_end() -> None:
    holder = Holder(net(), None)
    holder.table = [holder]
    assert fingerprint(holder) == fingerprint(holder)


def test_bytes_of_the_named_file_count_and_its_place_does_not(tmp_path: Path) -> None:
    hashes = []
    for folder, text in (("a", "x = 1"), ("b", "x = 1"), ("c", "x = 2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(text)
        hashes.append(fingerprint(net(), f"{tmp_path}/{folder}/mine.py:make"))
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[0] != fingerprint(net())


def test_bytes_of_an_exported_file_and_of_a_module_count(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"1")
    plain = fingerprint(net())
    assert fingerprint(net(), f"onnx:{tmp_path}/m.onnx") != plain
    assert fingerprint(net(), "epsball.errors:make") != plain
    assert fingerprint(net(), "no.such.module:make") == plain
    assert fingerprint(net(), "zoo:mlp") == plain


def test_two_processes_find_the_same_hash() -> None:
    code = (
        "import torch; from epsball.models import MODELS, Pipeline, Preprocess, fingerprint;"
        "torch.manual_seed(0); print(fingerprint(Pipeline(Preprocess(mean=(0.5,)),"
        "MODELS['mlp'].build(hidden=9))))"
    )
    hashes = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
        for _ in range(2)
    ]
    assert hashes[0].stdout == hashes[1].stdout


def test_parameters_are_counted_where_there_are_any() -> None:
    assert count_parameters(nn.Linear(4, 3)) == 15
    assert count_parameters(lambda x: x) is None


def test_lambdas_in_one_line_are_told_apart() -> None:
    bright, dark = (lambda x: x.flatten(1)), (lambda x: 1 - x.flatten(1))
    assert fingerprint(bright) != fingerprint(dark)


def test_what_a_weak_reference_a_context_or_a_generator_holds_counts() -> None:
    def weak(model: nn.Module) -> Callable[[Tensor], Any]:
        stored = weakref.ref(model)
        return lambda x: stored()(x)  # type: ignore[misc]  # alive

    def in_context(model: nn.Module) -> Callable[[Tensor], Any]:
        variable = contextvars.ContextVar("variable", default=model)
        variable.set(model)
        return lambda x: variable.get()(x)

    one, other = net(), net(1)
    for hidden in (weak, in_context, behind_generator):
        assert fingerprint(hidden(one)) == fingerprint(hidden(one))
        assert fingerprint(hidden(one)) != fingerprint(hidden(other))
