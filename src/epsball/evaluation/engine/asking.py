"""Calling a model, so that whatever it does wrong is reported in one line."""

from collections.abc import Callable

import torch
from torch import Tensor

from epsball.errors import BrokenContract, EpsballError


def ask(
    model: Callable[[Tensor], Tensor], inputs: Tensor, *, channels_last: bool = False
) -> Tensor:
    """Return the model's scores, one row an image.

    The model gets a copy: one that changes its input in place changes nothing of ours.

    Args:
        model: any callable.
        inputs: (n, c, h, w), on the model's device.
        channels_last: give the copy in that memory format.

    Raises:
        BrokenContract: the model raises, or returns another shape.
    """
    copied = inputs.clone()
    if channels_last:
        copied = copied.to(memory_format=torch.channels_last)
    try:
        scores = model(copied)
    except EpsballError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        lines = str(error).strip().splitlines() or [""]
        raise BrokenContract(
            f"the model raised {type(error).__name__}: {lines[0]}; it was given "
            f"{tuple(inputs.shape)} {inputs.dtype} on {inputs.device}"
        ) from error
    if not isinstance(scores, Tensor) or scores.dim() != 2 or len(scores) != len(inputs):
        value = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise BrokenContract(
            f"the model must return one row of scores an image, (n, k); for {len(inputs)} "
            f"images it returned {value}"
        )
    return scores


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on whichever device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "can't allocate memory" in str(error) or "out of memory" in str(error).lower()
    )
