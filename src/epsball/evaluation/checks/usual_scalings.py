"""The usual ways to scale images, and mistakes that images themselves may hold."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from epsball.models import Preprocess
from epsball.models.preprocess import Channels

_LEAST_STD = 1e-3  # of images that are all alike

Change: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Scaling:
    """One usual way to scale images; see `Preprocess` for what each part does."""

    name: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: Channels | None = None
    input_range: float | None = None

    @property
    def layer(self) -> Preprocess:
        """Return the layer that scales so; colours stay in their order."""
        return Preprocess(mean=self.mean, std=self.std, input_range=self.input_range)

    def __call__(self, images: Tensor) -> Tensor:
        """Return images as a model of this scaling wants them."""
        ordered: Tensor = Preprocess(channels=self.channels)(images)
        scaled: Tensor = self.layer(ordered)
        return scaled

    @property
    def options(self) -> str:
        """Return the options of the command that give it."""
        parts = [("--mean", _listed(self.mean)), ("--std", _listed(self.std))]
        parts.append(("--channels", self.channels or ""))
        parts.append(("--input-range", f"{self.input_range:g}" if self.input_range else ""))
        return " ".join(f"{option} {value}" for option, value in parts if value)

    @property
    def call(self) -> str:
        """Return the layer in Python that gives it."""
        parts: list[tuple[str, object]] = [("mean", self.mean), ("std", self.std)]
        parts += [("channels", self.channels), ("input_range", self.input_range)]
        return f"Preprocess({', '.join(f'{name}={value!r}' for name, value in parts if value)})"


_BYTES = 0.00392156862745098  # 1 / 255
COLOUR: tuple[Scaling, ...] = (
    Scaling("half", (0.5,), (0.5,)),
    Scaling("CIFAR-10", (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    Scaling("CIFAR-100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    Scaling("ImageNet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    Scaling("0 to 255", input_range=255),
    Scaling("BGR", None, None, "bgr"),
    Scaling("BGR, 0 to 255, mean subtracted", (0.408, 0.459, 0.482), (_BYTES,), "bgr"),
)
GREY: tuple[Scaling, ...] = (
    Scaling("half", (0.5,), (0.5,)),
    Scaling("MNIST", (0.1307,), (0.3081,)),
    Scaling("Fashion-MNIST", (0.286,), (0.353,)),
    Scaling("0 to 255", input_range=255),
)


NONE = Scaling("none", (0.0,), (1.0,))
# mistakes of the images themselves, which no option of the command undoes
TURNED: dict[str, Change] = {
    "with the images inverted, 1 - image,": lambda images: 1 - images,
    "with rows and columns of the images exchanged": lambda images: images.mT,
    "with the images upside down": lambda images: images.flip(2),
    "with the images mirrored left to right": lambda images: images.flip(3),
    "with the images turned by 180 degrees": lambda images: images.flip(2, 3),
}


def _listed(values: Sequence[float] | None) -> str:
    return "" if values is None else ",".join(f"{value:g}" for value in values)


def usual_changes(images: Tensor, *, named: bool, own: Preprocess | None) -> dict[str, Change]:
    """Return the usual scalings by the option that sets them."""
    mean, std = (own.mean.cpu(), own.std.cpu()) if own is not None else (0.0, 1.0)
    brightest = 1.0 if own is None else own.input_range
    changes = {}
    for scaling in (*_usual(images), *([NONE] if own else [])):
        if own is not None and own.channels is not None and scaling.channels is not None:
            continue  # colours are in an order that was asked for
        how = scaling.options if named else f"Pipeline({scaling.call}, model) of epsball.models"
        # what the model's own scaling makes of this is what the other scaling would give
        changes[f"with {how}"] = _scaled(scaling, mean / brightest, std / brightest)
    return changes


def turns(images: Tensor) -> dict[str, Change]:
    """Return the mistakes that images themselves may hold, by how to undo them."""
    square = images.shape[2] == images.shape[3]
    return {how: turn for how, turn in TURNED.items() if square or "rows" not in how}


def _scaled(scaling: Scaling, mean: Tensor | float, std: Tensor | float) -> Change:
    return lambda images: scaling(images) * std + mean


def _usual(images: Tensor) -> list[Scaling]:
    """Return the usual scalings, and the one by mean and standard deviation of these images."""
    each = images.transpose(0, 1).flatten(1)  # (c, n h w)
    mean, std = each.mean(1), each.std(1).clamp_min(_LEAST_STD)
    known = COLOUR if images.shape[1] == 3 else GREY
    return [*known, Scaling("these images", _rounded(mean), _rounded(std))]


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)


def exchanges(images: Tensor) -> dict[str, Change]:
    """Return every usual scaling in place of every other, for a model that scales by itself."""
    usual = [one for one in _usual(images) if one.channels is None and one.name != "CIFAR-100"]
    return {
        _exchange(wrong, right): _exchanged(wrong, right)
        for wrong, right in itertools.permutations((*usual, NONE), 2)
        if wrong is not NONE
    }


def _exchange(wrong: Scaling, right: Scaling) -> str:
    if right is NONE:
        return f"with {wrong.call} left out once, as if it were applied twice,"
    return f"with {right.call} in place of {wrong.call} in the model"


def _exchanged(wrong: Scaling, right: Scaling) -> Change:
    def change(images: Tensor) -> Tensor:
        mean, std = (torch.tensor(v or (d,)) for v, d in ((wrong.mean, 0.0), (wrong.std, 1.0)))
        shown = right(images) * std.view(-1, 1, 1) + mean.view(-1, 1, 1)
        return shown / (wrong.input_range or 1)

    return change
