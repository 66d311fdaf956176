"""The settings of `epsball train` as options, read off `TrainSettings`."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, TypeVar

import typer

from epsball.errors import InvalidInput
from epsball.training.setup.settings import PANELS, TrainSettings

Command = TypeVar("Command", bound=Callable[..., None])

SHARED = ("recipe", "seed", "device")  # options that every command declares alike
# typed as text, because 8/255 and 0.5,0.75 are no numbers to a shell
_RADII, _LISTS = ("eps", "step_size", "watch_eps"), ("milestones",)


def takes_settings(command: Command) -> Command:
    """Give a command whose last parameter is `**settings` one option per training setting."""
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *_options())]
    command.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]  # read by inspect
    command.__annotations__ = {p.name: p.annotation for p in every} | {"return": None}
    return command


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were typed, as `TrainSettings` takes them.

    Raises:
        InvalidInput: a radius or a list cannot be read.

    Example:
        >>> given({"eps": "1/4", "lr": None, "milestones": "0.5,0.9", "stop_at_collapse": False})
        {'eps': 0.25, 'milestones': (0.5, 0.9)}
    """
    typed = {name: v for name, v in settings.items() if v is not None and v is not False}
    return {name: _read(name, value) for name, value in typed.items()}


def _read(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever the option holds
    from epsball.radii import parse_eps

    if name in _RADII:
        return parse_eps(value)
    if name not in _LISTS:
        return value
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise InvalidInput(f"--{name} must be numbers such as 0.5,0.75, got {value!r}") from None


def _options() -> Iterator[inspect.Parameter]:
    panel = ""
    for name, field in TrainSettings.model_fields.items():
        panel = PANELS.get(name, panel)
        if name in SHARED:
            continue
        kind = _type_of(name, field.default)
        declared = typer.Option(
            f"--{name.replace('_', '-')}", help=field.description, rich_help_panel=panel
        )
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if kind is bool else None,
            annotation=Annotated[kind, declared],
        )


def _type_of(name: str, default: object) -> Any:  # noqa: ANN401 - a type or a union of types
    if name in (*_RADII, *_LISTS):
        return str | None
    if isinstance(default, bool):
        return bool
    kind: Any = type(default)
    if default is None:  # "dropout" and the counts: the first type of the annotation
        kind = next(t for t in (int, float, str) if _allows(name, t))
    return kind | None


def _allows(name: str, kind: type) -> bool:
    return kind in getattr(TrainSettings.model_fields[name].annotation, "__args__", ())
