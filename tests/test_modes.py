import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wrappers import WRAPPERS, wrapped
from torch import Tensor, fx, nn

from epsball.modes import parts_in_training, training_parts

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: nn.BatchNorm2d(2),
    "dropout": lambda: nn.Dropout(0.5),
    "feature dropout": lambda: nn.Dropout2d(0.5),
}
EXAMPLE = torch.zeros(2, 1, 4, 4)


def net(layer: str, *, training: bool) -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), LAYERS[layer](), nn.Flatten(), nn.Linear(8, 3))
    return model.train(training)


def exported(model: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, (EXAMPLE,)).module()


def decomposed(model: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, (EXAMPLE,)).run_decompositions().module()


def traced(model: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(model, EXAMPLE, check_trace=False).eval()  # type: ignore[no-untyped-call]


def scripted(model: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(model)


FORMS: dict[str, Callable[[nn.Module], Any]] = {
    "module": lambda model: model,
    "traced by fx": lambda model: fx.symbolic_trace(model),
    "exported": exported,
    "decomposed": decomposed,
    "traced": traced,
    "scripted": scripted,
    "compiled": lambda model: torch.compile(model, backend="eager"),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("form", FORMS)
def test_mode_is_read_off_every_form_of_a_network(form: str, layer: str) -> None:
    if (form, layer) == ("decomposed", "feature dropout"):
        pytest.skip("torch decomposes it into random numbers, which have no mode")
    for training in (False, True):
        model = FORMS[form](net(layer, training=training))
        assert bool(training_parts(model)) is training


def test_exported_network_without_modes_is_in_eval_mode() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).train()
    assert training_parts(exported(model)) == []


def test_frozen_network_has_no_mode() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frozen = torch.jit.freeze(torch.jit.script(net("dropout", training=False)))
    assert not hasattr(frozen, "training")
    assert training_parts(frozen) == []


def test_functional_dropout_that_was_traced_in_train_mode_is_seen() -> None:
    class Functional(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return nn.functional.dropout(inputs.flatten(1), 0.5, self.training)

    assert training_parts(fx.symbolic_trace(Functional().train()).eval()) == ["dropout"]
    assert training_parts(fx.symbolic_trace(Functional().eval())) == []


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=4),
    st.sampled_from(sorted(LAYERS)),
    st.booleans(),
)
def test_mode_is_seen_behind_drawn_wrappers(names: list[str], layer: str, training: bool) -> None:
    inner = net(layer, training=training)
    assert bool(parts_in_training(wrapped(inner, names))) is training
