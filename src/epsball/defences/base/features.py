"""Lists the layers of a model and reads their outputs by hooks, which are removed afterwards."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.tensors import Classifier, Images

_SHOWN = 20  # layers in a message


@dataclass(frozen=True)
class Layer:
    """A layer whose output can be read.

    Args:
        name: as `model.named_modules()` gives it: "features.3".
        kind: its class: "ReLU".
        shape: of its output for one image.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def features(self) -> int:
        """Return how many numbers it gives an image."""
        return prod(self.shape)


@dataclass(frozen=True)
class Features:
    """Reads the activations of some layers of a model, whose forward pass stays its own.

    Args:
        model: in eval mode; not changed, its hooks are removed after every pass, also on error.
        layers: their names, as `layers_of` lists them.

    Raises:
        InvalidInput: a layer does not exist, or none is named.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.ReLU()).eval()
        >>> read = Features(model, ("2",))(torch.zeros(5, 1, 1, 2))
        >>> read["2"].shape
        torch.Size([5, 3])
    """

    model: Classifier
    layers: tuple[str, ...]

    def __post_init__(self) -> None:
        """Look the layers up."""
        module = as_module(self.model)
        if isinstance(self.layers, str) or not self.layers:
            raise InvalidInput(f"layers must be a list of names, got {self.layers!r}")
        known = [name for name, _ in module.named_modules() if name]
        for name in self.layers:
            if not isinstance(name, str):
                raise InvalidInput(f"a layer is named by a text, as {str(name)!r}, got {name!r}")
            if name not in known:
                raise _unknown_layer(name, known)
            if self.layers.count(name) > 1:
                raise InvalidInput(f"layers must name a layer once, got {name!r} twice or more")

    def __call__(self, inputs: Images) -> dict[str, Tensor]:
        """Return the flattened outputs (n, d) of the layers, by name, for images (n, c, h, w).

        They carry a gradient where gradients are recorded, and are copies: what the model does in
        place later does not reach them.

        Raises:
            InvalidInput: a layer is not called just once, or gives no tensor of n rows.
        """
        read: dict[str, list[Any]] = {name: [] for name in self.layers}
        with _recording(
            as_module(self.model), self.layers, lambda name, output: read[name].append(output)
        ):
            self.model(inputs)
        return {name: _flat(name, outputs, len(inputs)) for name, outputs in read.items()}

    def collect(self, batches: Iterable[Images]) -> dict[str, Tensor]:
        """Return the outputs for many images, (n, d) on the CPU, without gradient.

        Args:
            batches: images (m, c, h, w), where the model is.

        Raises:
            InvalidInput: see `__call__`.
        """
        collected: dict[str, list[Tensor]] = {name: [] for name in self.layers}
        with torch.no_grad():
            for batch in batches:
                for name, values in self(batch).items():
                    collected[name].append(values.cpu())
        return {name: torch.cat(collected.pop(name)) for name in self.layers}


def layers_of(model: nn.Module, example: Tensor | Sequence[int]) -> list[Layer]:
    """List the layers whose output can be read, in the order in which they finish.

    Those that are called more than once in a pass, or not at all, are left out, and so is what
    gives no single tensor with a row an image.

    Args:
        model: in eval mode, for images (n, c, h, w) in [0, 1].
        example: images (n, c, h, w) where the model is, or the shape (c, h, w) of one.

    Returns:
        Name, kind and output shape of each.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten()).eval()
        >>> [(layer.name, layer.kind, layer.features) for layer in layers_of(model, (1, 4, 4))]
        [('0', 'Conv2d', 16), ('1', 'ReLU', 16), ('2', 'Flatten', 16)]
    """
    modules = dict(model.named_modules())
    inputs = example if isinstance(example, Tensor) else _zeros(model, example)
    return [
        Layer(name, type(modules[name]).__name__, tuple(output.shape[1:]))
        for name, output in outputs_in_order(model, inputs)
    ]


def outputs_in_order(model: nn.Module, inputs: Tensor) -> list[tuple[str, Tensor]]:
    """Return the output of each layer that can be read, by name, in the order in which they end."""
    finished: list[tuple[str, Any]] = []
    names = tuple(name for name, _ in model.named_modules() if name)
    with torch.no_grad(), _recording(model, names, lambda *call: finished.append(call)):
        model(inputs)
    calls = Counter(name for name, _ in finished)
    return [
        (name, output)
        for name, output in finished
        if calls[name] == 1 and _shape(output, len(inputs)) is not None
    ]


@contextmanager
def _recording(
    model: nn.Module, layers: Sequence[str], on_output: Callable[[str, Any], None]
) -> Iterator[None]:
    """Pass the output of every call of the layers on; nothing is left behind."""
    hooks = []
    try:
        for name in layers:

            def hook(_: nn.Module, __: Any, output: Any, name: str = name) -> None:  # noqa: ANN401 - torch's
                # a copy: what follows may be an activation in place
                on_output(name, output.clone() if isinstance(output, Tensor) else output)

            hooks.append(model.get_submodule(name).register_forward_hook(hook))
        yield
    finally:
        for one in hooks:
            one.remove()


def _flat(name: str, outputs: list[Any], count: int) -> Tensor:
    if len(outputs) != 1:
        raise InvalidInput(
            f"layer {name!r} is called {len(outputs)} times in a forward pass, and its output is "
            "only one if it is called once; choose a layer around it or beside it"
        )
    output = outputs[0]
    if _shape(output, count) is None:
        what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InvalidInput(
            f"layer {name!r} must give one float tensor with a row for each of {count} images, "
            f"got {what}; choose another layer"
        )
    flat: Tensor = output.reshape(count, output.shape[1:].numel())  # also of no images
    return flat


def _shape(output: object, count: int) -> tuple[int, ...] | None:
    """Return the shape of one image's output, or None where it cannot be read."""
    if not isinstance(output, Tensor) or not output.is_floating_point() or output.dim() < 2:
        return None
    if len(output) != count or not output.shape[1:].numel():  # no images, no rows: that is fine
        return None
    return tuple(output.shape[1:])


def _unknown_layer(name: str, known: list[str]) -> InvalidInput:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    ends = [one for one in known if one.endswith(f".{name}")]
    listed = list(dict.fromkeys([*ends, *near, *known]))
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return InvalidInput(f"unknown layer {name!r}: known: {', '.join(listed[:_SHOWN])}{more}")


def as_module(model: Classifier) -> nn.Module:
    """Return the model as a module, or say that its layers cannot be read."""
    if not isinstance(model, nn.Module):
        raise InvalidInput(
            f"layers can only be read of a torch.nn.Module, got a {type(model).__name__}; "
            "'msp' needs none"
        )
    return model


def _zeros(model: nn.Module, shape: Sequence[int]) -> Tensor:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    return like.new_zeros((1, *shape)).detach()
