"""Would the model be right far more often if its images were scaled in one of the usual ways?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from epsball.errors import EpsballError
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.metrics.statistics import mcnemar
from epsball.models import Preprocess
from epsball.models.preprocess import Channels
from epsball.types import Finding, Severity

_SURPRISE = 1e-3  # p below which another scaling is no chance, shared by all that are tried
_LEAST_GAIN = 0.1  # of the images looked at
_GOOD = 0.9  # a model that is right so often needs no other scaling
_FACTOR = 2  # times as many right: the number is another model's


@dataclass(frozen=True)
class Scaling:
    """One usual way to scale images; see `Preprocess` for what each part does."""

    name: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: Channels | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Return images as a model of this scaling wants them."""
        scaled: Tensor = Preprocess(mean=self.mean, std=self.std, channels=self.channels)(images)
        return scaled

    @property
    def options(self) -> str:
        """Return the options of the command that give it."""
        parts = [("--mean", _listed(self.mean)), ("--std", _listed(self.std))]
        parts.append(("--channels", self.channels or ""))
        return " ".join(f"{option} {value}" for option, value in parts if value)

    @property
    def call(self) -> str:
        """Return the layer in Python that gives it."""
        parts = [("mean", self.mean), ("std", self.std), ("channels", self.channels)]
        return f"Preprocess({', '.join(f'{name}={value!r}' for name, value in parts if value)})"


_BYTES = 0.00392156862745098  # 1 / 255
COLOUR: tuple[Scaling, ...] = (
    Scaling("half", (0.5,), (0.5,)),
    Scaling("CIFAR-10", (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    Scaling("CIFAR-100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    Scaling("ImageNet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    Scaling("0 to 255", None, (_BYTES,)),
    Scaling("BGR", None, None, "bgr"),
    Scaling("BGR, 0 to 255, mean subtracted", (0.408, 0.459, 0.482), (_BYTES,), "bgr"),
)
GREY: tuple[Scaling, ...] = (
    Scaling("half", (0.5,), (0.5,)),
    Scaling("MNIST", (0.1307,), (0.3081,)),
    Scaling("Fashion-MNIST", (0.286,), (0.353,)),
    Scaling("0 to 255", None, (_BYTES,)),
)


NONE = Scaling("none", (0.0,), (1.0,))


def check_scaling(
    scores: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    named: bool,
    own: Preprocess | None = None,
) -> list[Finding]:
    """Try the usual scalings on a few images, and say where one is right far more often.

    Args:
        scores: the model, images (n, c, h, w) to scores (n, k).
        images: (n, c, h, w), in [0, 1].
        labels: (n,).
        classes: k; a further column means "reject".
        named: the model was named by a spec, so that options of the command scale its images.
        own: the scaling that it was loaded with, which another one would replace.
    """
    right = _right(scores(images), labels, classes)
    if int(right.sum()) >= _GOOD * len(labels):
        return []
    mean, std = (own.mean.cpu(), own.std.cpu()) if own is not None else (0.0, 1.0)
    tried: dict[str, Tensor] = {}
    for scaling in (*(COLOUR if images.shape[1] == 3 else GREY), *([NONE] if own else [])):
        if own is not None and own.channels is not None and scaling.channels is not None:
            continue  # colours are in an order that was asked for
        how = scaling.options if named else f"Pipeline({scaling.call}, model) of epsball.models"
        try:
            # what the model's own scaling makes of this is what the other scaling would give
            answer = scores(scaling(images) * std + mean)
        except EpsballError:  # a model may refuse pixels outside [0, 1]
            continue
        tried[f"with {how}"] = _right(answer, labels, classes)
    return _found(right, tried)


def _found(right: Tensor, tried: dict[str, Tensor]) -> list[Finding]:
    if not tried:
        return []
    how, best = max(tried.items(), key=lambda item: int(item[1].sum()))
    count, before, after = len(right), int(right.sum()), int(best.sum())
    more, fewer = int((best & ~right).sum()), int((right & ~best).sum())
    surprise = mcnemar(more, fewer) if more > fewer else 1.0
    if after - before < _LEAST_GAIN * count or surprise >= _SURPRISE / len(tried):
        return []
    severity: Severity = "blocking" if after >= _FACTOR * before else "warning"
    message = (
        f"on {count} images clean accuracy is {before / count:.0%}; {how} it would be "
        f"{after / count:.0%}"
    )
    evidence = {"accuracy": before / count, "otherwise": after / count, "how": how}
    return [replace(finding("other-scaling", message, **evidence), severity=severity)]


def _right(scores: Tensor, labels: Tensor, classes: int) -> Tensor:
    return torch.as_tensor(scores[:, :classes].argmax(1) == labels)


def _listed(values: Sequence[float] | None) -> str:
    return "" if values is None else ",".join(f"{value:g}" for value in values)
