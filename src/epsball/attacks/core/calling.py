"""How an attack may be called: arguments by name, tensors and contexts of inference mode."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from epsball.errors import InvalidInput, unknown_name
from epsball.randomness import ImageStreams


@contextmanager
def gradients_possible() -> Iterator[None]:
    """Leave inference mode, in which nothing has a gradient; no_grad is left as it is."""
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(mode=False):
        yield


def usable(value: Any) -> Any:  # noqa: ANN401 - whatever is given
    """Return a tensor that may take part in a gradient; anything else as it is."""
    if isinstance(value, Tensor) and value.is_inference():
        return value.clone()
    return value


def check_names(
    attack: Callable[..., Any], unnamed: Sequence[object], named: Mapping[str, Any]
) -> None:
    """Refuse arguments beyond model, inputs and labels that have no name, or an unknown one.

    Raises:
        InvalidInput: there is one, or the generator is none of torch.
    """
    name, parameters = attack.__name__, inspect.signature(attack).parameters
    if unnamed:
        raise InvalidInput(
            f"{name}: takes a model, inputs and labels by place and the rest by name, got "
            f"{unnamed[0]!r:.40} as a fourth: write eps={unnamed[0]!r:.40}, say"
        )
    for key in named:
        if key not in parameters and key != "eps":  # of eps the attack itself says why not
            raise unknown_name(f"argument of {name}", key, ["eps", "mask", *parameters])
    generator = named.get("generator")
    if not isinstance(generator, torch.Generator | ImageStreams | None):
        seed = generator if isinstance(generator, int) else 0
        raise InvalidInput(
            f"{name}: generator must be a torch.Generator, got {generator!r:.40}; give "
            f"torch.Generator().manual_seed({seed})"
        )
