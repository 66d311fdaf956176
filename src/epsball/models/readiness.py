"""What has to be true of a model's parameters before it can be asked at all."""

from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from epsball.errors import InvalidInput
from epsball.object_graph import modules_behind


def check_ready(model: object) -> None:
    """Refuse a model whose parameters hold no values yet, or can take no part in a gradient.

    Args:
        model: a module or any other callable; it is inspected, never called.

    Raises:
        InvalidInput: parameters are on the meta device, or lazy.
    """
    for name, tensor in tensors_of(model):
        if is_lazy(tensor):
            raise InvalidInput(
                f"the model's {name} is not initialised (a lazy module): call the model once on a "
                "batch of images, then load its weights and call .eval()"
            )
        if tensor.is_meta:
            raise InvalidInput(
                f"the model's {name} is on the meta device and holds no values: build the model "
                "on the CPU (or call .to_empty(device='cpu')), then load its weights"
            )
        if tensor.is_inference() and not isinstance(model, nn.Module):  # a module is copied
            raise InvalidInput(
                f"the model's {name} was made inside torch.inference_mode(), where no gradient "
                "passes: build or load the model outside of it"
            )


def tensors_of(model: object) -> list[tuple[str, Tensor]]:
    """Return the parameters and buffers of every module that a callable is or hides."""
    return [
        (f"{place}.{name}" if place else name, tensor)
        for place, module in modules_behind(model).items()
        for name, tensor in _named(module)
    ]


def _named(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def dtypes_of(model: object) -> tuple[torch.dtype, ...]:
    """Return the floating-point types of a callable's parameters and buffers, the commonest first.

    Example:
        >>> dtypes_of(nn.Linear(2, 2).double()), dtypes_of(nn.ReLU())
        ((torch.float64,), ())
    """
    kinds = Counter(t.dtype for _, t in tensors_of(model) if t.is_floating_point())
    return tuple(dtype for dtype, _ in kinds.most_common())
