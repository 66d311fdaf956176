"""Where and how a run computes: device, precision, memory layout, threads. Chosen once a run."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from epsball.machine.hardware import bfloat16_units, choose_device
from epsball.training.setup.modes import evaluating
from epsball.training.setup.settings import TrainSettings

Arithmetic: TypeAlias = Literal["float32", "bfloat16"]
_LAYOUTS = {True: torch.channels_last, False: torch.contiguous_format}


@dataclass(frozen=True)
class Placement:
    """How a run computes. Part of its manifest, because another choice gives other weights.

    Args:
        device: a torch device.
        precision: what the model computes in; its weights are float32 always.
        channels_last: whether images and convolution weights lie channel by channel.
        threads: of torch, on the CPU.
    """

    device: str
    precision: Arithmetic
    channels_last: bool
    threads: int

    @property
    def layout(self) -> torch.memory_format:
        """Return the memory format of images and weights."""
        return _LAYOUTS[self.channels_last]

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which a recipe's step runs."""
        # Without its cache: in older torch a cast that an attack's no_grad pass cached cuts the
        # weights off from their gradient in the training pass that follows. It would save nothing:
        # a pass casts each weight once.
        return torch.autocast(
            torch.device(self.device).type,
            torch.bfloat16,
            enabled=self.precision == "bfloat16",
            cache_enabled=False,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the choices as plain data, in the form training.json holds."""
        return asdict(self)


def choose_placement(
    model: nn.Module, sample: Tensor, settings: TrainSettings, sources: Sequence[nn.Module] = ()
) -> Placement:
    """Choose what is fastest on this machine without costing accuracy.

    bfloat16 is taken where the hardware multiplies matrices in it (AMX, Ampere and later) and the
    model convolves. Measured on two AMX cores, `base-cnn`, batch 128: 1,350 images a second as
    torch does it by itself, 2,200 in channels-last float32, 5,400 in channels-last bfloat16.

    Args:
        model: decides whether there is anything to gain.
        sample: (m, c, h, w), a few images, to try a layout with.
        settings: `device` and `precision` are read.
        sources: other models, which are shown the same images.

    Returns:
        The choices.

    Raises:
        InvalidInput: no such device here.
    """
    device = choose_device(settings.device)
    convolves = any(isinstance(module, nn.Conv2d) for module in model.modules())
    precision: Arithmetic = "float32"
    if settings.precision == "bfloat16" or (
        settings.precision == "auto" and convolves and bfloat16_units(device) == "matrices"
    ):
        precision = "bfloat16"
    channels_last = convolves and all(_takes_channels_last(m, sample) for m in (model, *sources))
    return Placement(device, precision, channels_last, torch.get_num_threads())


@contextmanager
def placed(model: nn.Module, placement: Placement) -> Iterator[None]:
    """Run a block with the model where and how a placement says; put everything back afterwards.

    The weights' device and layout, torch's thread count and cuDNN's flags return to what they
    were. The model is left in eval mode.

    Raises:
        InvalidInput: the device is not here.
    """
    device, threads = choose_device(placement.device), torch.get_num_threads()
    home = next((w.device for w in model.parameters()), torch.device("cpu"))
    laid: RemovableHandle | None = None
    try:
        torch.set_num_threads(placement.threads)
        model.to(device)
        _arrange(model, placement.layout)
        if placement.channels_last:
            laid = model.register_forward_pre_hook(_laid_out)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            yield
    finally:
        if laid is not None:
            laid.remove()
        model.to(home)
        _arrange(model, torch.contiguous_format)
        model.eval()
        torch.set_num_threads(threads)


def _laid_out(model: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Lay images out channel by channel, whatever an attack has made of them.

    Sums and clips of images of one channel come out in the ordinary layout, in which the first
    convolution would then answer, and every later layer convert: a third of a pass of `base-cnn`.
    `contiguous` would not do it: with one channel both layouts are contiguous.
    """
    del model
    images, *others = inputs
    if isinstance(images, Tensor) and images.dim() == 4:
        images = images.to(memory_format=torch.channels_last)
    return (images, *others)


def _arrange(model: nn.Module, layout: torch.memory_format) -> None:
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=layout)


def _takes_channels_last(model: nn.Module, sample: Tensor) -> bool:
    """Try: `x.view(n, -1)` after a convolution, for one, works in the ordinary layout only."""
    home = next((w.device for w in model.parameters()), torch.device("cpu"))
    try:
        _arrange(model, torch.channels_last)
        with torch.no_grad(), evaluating(model):
            model(sample.to(home, memory_format=torch.channels_last))
    except RuntimeError:
        return False
    finally:
        _arrange(model, torch.contiguous_format)
    return True
