"""The options that say how a model is loaded, the same for every command that takes one."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

_PANEL = "The model"


def _option(text: str, **more: Any) -> Any:  # noqa: ANN401 - typer's own type
    return typer.Option(help=text, rich_help_panel=_PANEL, **more)


# as `load_model` calls them; numbers are text, because 124/255 and 0.4,0.5,0.6 are no numbers to a
# shell
OPTIONS: dict[str, Any] = {
    "weights": Annotated[
        Path | None, _option("Weights to load: safetensors, or a torch file of tensors.")
    ],
    "mean": Annotated[
        str | None, _option("Subtracted per channel, in [0, 1]: 0.5, 124/255 or a,b,c.")
    ],
    "std": Annotated[str | None, _option("Divided by per channel, in [0, 1].")],
    "resize": Annotated[int | None, _option("Side of the square that the model wants.")],
    "channels": Annotated[
        str | None, _option("What the model wants: rgb, bgr or gray.", metavar="ORDER")
    ],
    "input_range": Annotated[
        str | None, _option("Brightest value that the model wants: 255; then of mean and std too.")
    ],
    "layout": Annotated[str | None, _option("What the model wants: nchw, or nhwc.")],
    "output": Annotated[
        str | None, _option("Which of several outputs holds the scores: its number or name.")
    ],
    "eval": Annotated[bool, _option("Put the model into eval mode.")],
    "trust": Annotated[bool, _option("Read a pt2: file, which may run code, all the same.")],
}
_FLAGS = ("eval", "trust")


def takes_model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each way of loading its model.

    Args:
        command: takes what was typed as `loading`, arguments of `load_model`.

    Returns:
        The command as the command line calls it.
    """
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.name != "loading"]
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name in _FLAGS else None,
            annotation=annotation,
        )
        for name, annotation in OPTIONS.items()
    ]
    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *options)]

    @functools.wraps(command)
    def called(**typed: Any) -> None:  # noqa: ANN401 - whatever typer passes
        loading = {name: typed.pop(name) for name in OPTIONS}
        trust = {"trust": loading.pop("trust")}  # in Python a file is trusted, here it is not
        from epsball.models.loading.request import options_given

        command(**typed, loading=options_given(loading) | trust)

    called.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]  # read by inspect
    called.__annotations__ = {p.name: p.annotation for p in every} | {"return": None}
    return called
