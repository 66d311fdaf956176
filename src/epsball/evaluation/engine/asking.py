"""Calling a model; any error is reported in one line."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from epsball.answers import check_answer
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
    return check_answer(scores, len(inputs))


@contextmanager
def gradients_enabled() -> Iterator[None]:
    """Compute gradients, whatever context the caller is in: no_grad, inference_mode."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        yield


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Put back the global random states, from which a random model draws."""
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's own
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002 - the user's own


@contextmanager
def broken_contract(name: str) -> Iterator[None]:
    """Turn whatever a model raises inside a check into one line.

    Args:
        name: of the model.

    Raises:
        BrokenContract: the model raises anything but that memory ran out.
    """
    try:
        yield
    except EpsballError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        lines = str(error).strip().splitlines() or [""]
        raise BrokenContract(
            f"{name} failed in a check with {type(error).__name__}: {lines[0]}; if it is compiled "
            "or quantised, audit the network before that"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on whichever device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        "can't allocate memory" in str(error) or "out of memory" in str(error).lower()
    )
