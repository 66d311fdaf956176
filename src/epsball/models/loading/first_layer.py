"""What stands around a model as its source gives it: preprocessing before it, one output after."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from torch import Tensor, nn

from epsball.errors import BrokenContract, InvalidInput
from epsball.models.loading.request import Built
from epsball.models.preprocess import Channels, Pipeline, Preprocess
from epsball.types import ModelInfo


class Scaling(TypedDict):
    """What was asked for; see `load_model`."""

    mean: Sequence[float] | None
    std: Sequence[float] | None
    resize: int | None
    channels: Channels | None
    input_range: float | None
    layout: str | None


class OneOutput(nn.Module):
    """A model that gives several outputs, reduced to the one that holds the scores.

    Args:
        model: gives a tuple, a list or a mapping.
        output: position or key of the scores.
    """

    info: ModelInfo

    def __init__(self, model: Any, output: int | str) -> None:  # noqa: ANN401 - any callable
        super().__init__()
        self.model, self.output = model, output
        self.training = bool(getattr(model, "training", False))  # the model's mode is its owner's
        if isinstance(info := getattr(model, "info", None), ModelInfo):
            self.info = info

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores of images (n, c, h, w).

        Raises:
            BrokenContract: there is no such output.
        """
        outputs = self.model(inputs)
        try:
            scores: Tensor = outputs[self.output]
        except (IndexError, KeyError, TypeError, ValueError):
            raise BrokenContract(
                f"--output {self.output} is none of the model's outputs, it gives "
                f"{_described(outputs)}: name one of them"
            ) from None
        if isinstance(outputs, Tensor):
            raise BrokenContract(
                f"--output {self.output} is for a model of several outputs, this one gives a "
                f"tensor of shape {tuple(outputs.shape)}: leave it out"
            )
        return scores


def _described(outputs: object) -> str:
    if isinstance(outputs, Mapping):
        return f"a mapping with {', '.join(map(str, outputs))}"
    if isinstance(outputs, tuple | list):
        return f"{len(outputs)} outputs, 0 to {len(outputs) - 1}"
    return f"a {type(outputs).__name__}"


def with_first_layer(built: Built, spec: str, scaling: Scaling, output: int | str | None) -> object:
    """Put preprocessing before a model, and take one output of several.

    What was asked for wins over what the source declares.

    Raises:
        InvalidInput: the model scales its input itself, or takes whole numbers.
    """
    model: Any = built.model
    if output is not None and not built.has_layout:
        model = OneOutput(model, output)
    inner = getattr(built.model, "preprocess", None)
    given = scaling["mean"] is not None or scaling["std"] is not None
    if isinstance(inner, Preprocess) and (given or scaling["input_range"] is not None):
        raise InvalidInput(
            f"{spec} scales its input itself ({inner.extra_repr()}): leave --mean, --std and "
            "--input-range out"
        )
    if built.takes_levels and given:
        raise InvalidInput(
            f"{spec} declares whole numbers from 0 to 255 as its input, which no mean and std can "
            "be: leave --mean and --std out"
        )
    settings: Scaling = {**scaling}
    if not given:
        settings |= {"mean": built.mean, "std": built.std}
    if settings["channels"] is None:
        settings["channels"] = built.channels
    settings["input_range"] = _input_range(built, spec, scaling["input_range"], given=given)
    if built.has_layout:
        settings["layout"] = None
    if all(value is None for value in settings.values()) and built.size is None:
        return model
    size = built.size if settings["resize"] is None else None
    return Pipeline(Preprocess(**settings, size=size), model)


def _input_range(built: Built, spec: str, brightest: float | None, *, given: bool) -> float | None:
    """Return the brightest value that the preprocessing has to give the model; None: 1."""
    if built.takes_levels:
        if brightest not in (None, 255):
            raise InvalidInput(
                f"{spec} declares whole numbers from 0 to 255 as its input, --input-range is "
                f"{brightest:g}: leave it out"
            )
        return None
    wanted = brightest if brightest is not None or given else built.input_range
    return None if wanted == 1 else wanted
