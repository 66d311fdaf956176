"""Ways in which people put a network behind something else, for tests that draw them."""

import functools
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Model: TypeAlias = Callable[[Tensor], Tensor]


class Holder:
    """An object that is no module."""

    def __init__(self, inner: Model) -> None:
        self.inner = inner

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.inner(inputs)

    def predict(self, inputs: Tensor) -> Tensor:
        return self.inner(inputs)


def behind_generator(inner: Model) -> Model:
    """Answer by a generator, whose frame holds the model."""

    def answers() -> Generator[Any, Tensor, None]:
        images = yield None
        while True:
            images = yield inner(images)

    started = answers()
    next(started)
    return started.send


class Slots:
    """An object without __dict__."""

    __slots__ = ("inner",)

    def __init__(self, inner: Model) -> None:
        self.inner = inner

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.inner(inputs)


class Members(nn.Module):
    """Its member is in a plain list, so that .eval() does not reach it."""

    def __init__(self, member: Model) -> None:
        super().__init__()
        self.members = [member]
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.members[0](inputs)


def through_global(inner: Model) -> Model:
    scope: dict[str, Any] = {"inner": inner}
    exec("def call(inputs):\n    return inner(inputs)", scope)
    call: Model = scope["call"]
    return call


def through_default(inner: Model) -> Model:
    def call(inputs: Tensor, model: Model = inner) -> Tensor:
        return model(inputs)

    return call


def nested(inner: Model) -> Model:
    def call(inputs: Tensor) -> Tensor:
        return (lambda x: next(part(x) for part in (inner,)))(inputs)

    return call


WRAPPERS: dict[str, Callable[[Model], Model]] = {
    "closure": lambda inner: lambda inputs: inner(inputs),
    "nested": nested,
    "global": through_global,
    "default": through_default,
    "partial": lambda inner: functools.partial(lambda model, inputs: model(inputs), inner),
    "object": Holder,
    "slots": Slots,
    "method": lambda inner: Holder(inner).predict,
    "dictionary": lambda inner: (lambda kept: lambda inputs: kept["a"][0](inputs))({"a": [inner]}),
    "members": Members,
    "decorated": lambda inner: torch.enable_grad()(lambda inputs: inner(inputs)),
    "cached": lambda inner: functools.lru_cache(lambda inputs: inner(inputs)),
    "compiled": lambda inner: torch.compile(lambda inputs: inner(inputs), backend="eager"),
}


def wrapped(model: Model, names: list[str]) -> Model:
    """Put a model behind some wrappers, the first one innermost."""
    for name in names:
        model = WRAPPERS[name](model)
    return model
