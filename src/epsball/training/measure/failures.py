"""When training runs away or a model fails: one line that says where, why, and what to try."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from epsball.errors import BrokenContract, EpsballError
from epsball.training.run.directory import TrainRun
from epsball.training.setup.settings import TrainSettings

# (setting, how large it may be before it is suspected): beside the learning rate, what multiplies
# a loss or a step
_SUSPECTS = {
    "beta": 10.0,
    "gradient_penalty": 100.0,
    "generator_lr": 0.05,
    "awp": 0.02,
    "l1": 0.01,
    "l2": 0.1,
    "eps": 0.5,
}


def diverged(what: str, run: TrainRun, epoch: int) -> BrokenContract:
    """Build the error for a loss or a weight that is no longer a finite number.

    Args:
        what: was found.
        run: under way.
        epoch: in which.

    Returns:
        The error: the epoch, the likeliest causes among the settings, what is kept, what to try.
    """
    settings = run.context.settings
    saved = f"the checkpoint of epoch {epoch - 1} is kept" if epoch > 1 else "no epoch was finished"
    causes = [f"the learning rate {settings.lr:g} is too high for {settings.optimizer}"]
    large = _large(settings, run.context.recipe.parameters)
    causes += [f"{name} {value:g} is too large" for name, value in large.items()]
    tries = [f"lr={settings.lr / 10:g}", *(f"{n}={v / 10:g}" for n, v in large.items())]
    return BrokenContract(
        f"train: epoch {epoch}: {what}, most likely because {' or '.join(causes)}; {saved}; "
        f"try {' or '.join(tries)} and another --out"
    )


def _large(settings: TrainSettings, parameters: tuple[str, ...]) -> dict[str, float]:
    values = {
        name: float(getattr(settings, name) or 0)
        for name in _SUSPECTS
        if name in (*parameters, "awp")
    }
    return {name: value for name, value in values.items() if value > _SUSPECTS[name]}


@contextmanager
def named_failure(where: str) -> Iterator[None]:
    """Say in one line where a model failed in mid-training."""
    try:
        yield
    except EpsballError:
        raise
    except (RuntimeError, ValueError) as error:
        line = next(iter(str(error).splitlines()), "")
        raise BrokenContract(
            f"train: {where}: the model failed ({type(error).__name__}: {line}); the last "
            "finished epoch is kept: mend the model, and give the same command again"
        ) from error


def finite(loss: float, run: TrainRun, epoch: int) -> float:
    """Return a loss, or raise what `diverged` says about it."""
    if not math.isfinite(loss):
        raise diverged(f"the loss is {loss}", run, epoch)
    return loss


class Mean:
    """A mean over images, summed where the losses are: reading each would make a GPU wait."""

    def __init__(self, device: str) -> None:
        """Begin with nothing, on a device."""
        self._sum = torch.zeros((), dtype=torch.float64, device=device)
        self._count = 0

    def add(self, loss: Tensor, images: int) -> None:
        """Take in the mean loss of so many images."""
        self._sum += loss.detach() * images
        self._count += images

    @property
    def value(self) -> float:
        """Return the mean so far."""
        return float(self._sum) / self._count
