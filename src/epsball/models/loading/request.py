"""What is asked of the loaders, and what they answer."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.models.loading.messages import one_line
from epsball.models.loading.torchvision_operators import import_torchvision

# A source that is named by a word before the colon; "file" and "package" have none.
SCHEMES = ("zoo", "timm", "torchvision", "hf", "robustbench", "onnx", "pt2", "jit", "sklearn")
# Packages that import torchvision.
WITH_TORCHVISION = frozenset({"timm", "torchvision", "transformers", "robustbench"})
Scale: TypeAlias = tuple[float, ...]


def options_given(loading: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of loading that have a value.

    They are told by identity: 0 equals False, and a side of 0 pixels is to be refused.

    Example:
        >>> options_given({"mean": None, "eval": False, "resize": 0})
        {'resize': 0}
    """
    return {name: value for name, value in loading.items() if not (value is None or value is False)}


@dataclass(frozen=True)
class Request:
    """A request for a model.

    Args:
        spec: as it was typed, for messages: "timm:resnet18".
        name: what follows the scheme: "resnet18"; for files and packages all of it.
        weights: file with the user's own weights.
        classes: number of classes to build the model for; None: its own.
        device: where it goes.
        require_weights: whether fresh, untrained weights are refused.
        trust: whether a file that may run code when it is read may be read.
        layout: what the model wants, where its file leaves that open: "nchw" or "nhwc".
        output: position or name of the output that holds the scores; None: the only one.
    """

    spec: str
    name: str
    weights: Path | None = None
    classes: int | None = None
    device: str = "cpu"
    require_weights: bool = True
    trust: bool = True
    layout: str | None = None
    output: int | str | None = None

    @property
    def wants_published(self) -> bool:
        """Whether the publisher's weights are to be fetched."""
        return self.weights is None and self.require_weights


@dataclass(frozen=True)
class Built:
    """A model as its source gives it.

    Args:
        model: the model, its own preprocessing not yet before it.
        name: short name for titles.
        mean: what its weights were trained with, per channel in [0, 1]; None: unknown, or inside
            it.
        std: likewise.
        channels: the order of colours that it wants; None: as they come.
        size: (height, width) of the images that it wants; None: unknown.
        input_range: the brightest value that it wants, as its file declares it; None: unknown.
        takes_levels: whether it multiplies images by 255 itself, because it wants whole numbers.
        has_layout: whether it takes (n, c, h, w), whatever its file takes, and gives one output.
        put_in_eval: whether it was put into eval mode here.
    """

    model: nn.Module | Callable[[Tensor], Tensor]
    name: str
    mean: Scale | None = None
    std: Scale | None = None
    channels: Literal["rgb", "bgr", "gray"] | None = None
    size: tuple[int, int] | None = None
    input_range: float | None = None
    takes_levels: bool = False
    has_layout: bool = False
    put_in_eval: bool = False


def split_spec(spec: str) -> tuple[str, str]:
    """Split a model's spec into its source and the name there.

    Returns:
        (source, name): source is one of `SCHEMES`, or "file", "package" or "" where it has no
        colon.

    Example:
        >>> split_spec("timm:resnet18"), split_spec("nets/mine.py:make")
        (('timm', 'resnet18'), ('file', 'nets/mine.py:make'))
    """
    scheme, colon, name = spec.partition(":")
    if scheme in SCHEMES and colon:
        return scheme, name
    place, colon, _ = spec.rpartition(":")
    if not colon:
        return "", spec
    return ("file" if place.endswith(".py") else "package"), spec


def optional(module: str, *, extra: str, needed_by: str) -> Any:  # noqa: ANN401  # untyped packages
    """Import an optional package.

    Args:
        module: dotted name.
        extra: the extra of ours that installs it.
        needed_by: the spec that asks for it, for the message.

    Raises:
        InvalidInput: it is not installed, or breaks while it is imported.
    """
    remedy = f'pip install "epsball[{extra}]"'
    try:
        if module.partition(".")[0] in WITH_TORCHVISION:
            import_torchvision()
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{needed_by} needs the package {error.name}, which is not installed: {remedy}"
        ) from error
    except Exception as error:  # a build for another torch fails in many ways
        raise InvalidInput(
            f"{needed_by} needs {module}, which cannot be imported ({one_line(error)}): "
            f"install a build that matches your torch, {remedy}"
        ) from error
