"""A cheaper copy of a model to search on. It gives no verdicts.

It lies in channels-last, without what can be folded away, and takes the distances of wide SVMs
along their main directions; in bfloat16 its heavy layers multiply in that.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from epsball.defences import RbfSvm
from epsball.errors import EpsballError
from epsball.evaluation.engine.asking import ask
from epsball.evaluation.engine.rewriting import rewritten
from epsball.machine.hardware import bfloat16_units
from epsball.tensors import Classifier
from epsball.types import Precision

_ALIKE = 0.9  # share of images on which the copy must predict the model's class
_COMPARED_IMAGES = 4  # images on which a rewritten copy is compared with the model
_HEAVY = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


class SurrogateModel:
    """A copy of a module that costs less to call.

    Args:
        module: the caller's model; it is copied, never changed.
        precision: what its heavy layers compute in: "bfloat16", or "float32-copy", float32.
    """

    def __init__(self, module: nn.Module, precision: Precision) -> None:
        """Copy the model as it is now; how it is rewritten depends on the first images."""
        self._copy, self._ready = copy.deepcopy(module).requires_grad_(requires_grad=False), False
        self._half = precision == "bfloat16"

    def _prepare(self, sample: Tensor) -> None:
        """Make the copy cheap."""
        module = rewritten(self._copy, sample)
        for layer in module.modules():
            if self._half and type(layer) in _HEAVY:  # a subclass may do anything with its weights
                layer.to(torch.bfloat16)
            elif isinstance(layer, RbfSvm):
                layer.search_cheaply(half=self._half)
        self._copy = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self._ready = True

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the copy's scores, in float32."""
        if not self._ready:
            self._prepare(inputs[:_COMPARED_IMAGES].detach())
        nhwc = inputs.to(memory_format=torch.channels_last)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self._half):
            graph = isinstance(self._copy, fx.GraphModule)
            # not by calling a graph: torch.fx prints a traceback of its own when that raises
            scores: Tensor = self._copy.forward(nhwc) if graph else self._copy(nhwc)
        return scores.float()


def copy_for(device: torch.device | str) -> Precision:
    """Return the precision in which a cheaper copy runs fastest on a device."""
    return "float32-copy" if bfloat16_units(device) == "none" else "bfloat16"


def autocast_of(model: Classifier) -> Callable[[Tensor], Tensor]:
    """Return the model under autocast: the cheaper search for callables that cannot be copied."""

    def cheaper(inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16):
            return model(inputs).float()

    return cheaper


def surrogate_of(model: Classifier, precision: Precision) -> Classifier:
    """Make a cheaper copy; a model that cannot be copied is used as it is, or under autocast.

    Args:
        model: the classifier.
        precision: "bfloat16" or "float32-copy".
    """
    if isinstance(model, nn.Module):
        try:
            return SurrogateModel(model, precision)
        except (RuntimeError, TypeError, NotImplementedError):  # deepcopy refuses some modules
            pass
    return autocast_of(model) if precision == "bfloat16" else model


def checked_surrogate(model: Classifier, sample: Tensor, precision: Precision) -> Classifier | None:
    """Make a cheaper copy, or return None where it fails or disagrees with the model.

    Args:
        model: the classifier, on its device.
        sample: (m, c, h, w), a few images on the same device.
        precision: "bfloat16" or "float32-copy".
    """
    try:
        surrogate = surrogate_of(model, precision)
        if surrogate is model:
            return None
        with torch.no_grad():
            scores, copied = ask(model, sample), ask(surrogate, sample)
    except (EpsballError, RuntimeError, TypeError, NotImplementedError, ValueError):
        return None
    alike = (scores.argmax(1) == copied.argmax(1)).float().mean()
    return surrogate if bool(copied.isfinite().all()) and float(alike) >= _ALIKE else None
