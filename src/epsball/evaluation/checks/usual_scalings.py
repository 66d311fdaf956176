"""The usual ways to scale images, and mistakes that images themselves may hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from epsball.models import Preprocess
from epsball.models.preprocess import Channels

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
