"""The settings of `epsball train` as options: one line each, in groups, in the order of help.

They are not read off `TrainSettings`, whose import would be paid by every command's help; a test
holds the two together.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from epsball.errors import InvalidInput

Command = TypeVar("Command", bound=Callable[..., None])


class Option(NamedTuple):
    """One setting: what is typed, the group that help shows it in, and what it is."""

    kind: type
    group: str
    help: str


_EXAMPLES, _LOSS, _STEPS, _END = "Examples", "Loss and weights", "Optimizer", "Stopping and watch"
_CLASSES = "Rare classes"
# typed as text, because 8/255 and 0.5,0.75 are no numbers to a shell
_RADII, _LISTS = ("eps", "step_size", "watch_eps"), ("milestones",)

OPTIONS: Mapping[str, Option] = {
    "eps": Option(str, _EXAMPLES, "Radius of the examples: 0.1 or 8/255."),
    "norm": Option(str, _EXAMPLES, "Of the ball they stay in: linf or l2."),
    "eps_warmup": Option(float, _EXAMPLES, "Share of the run over which eps rises from 0."),
    "attack_steps": Option(int, _EXAMPLES, "Gradient steps that make one."),
    "step_size": Option(str, _EXAMPLES, "Length of such a step: 2/255."),
    "reference": Option(
        str, _EXAMPLES, "Whose gradient is followed: true, predicted, least_likely or random."
    ),
    "replays": Option(int, _EXAMPLES, "free: how many times in a row a batch is used."),
    "generator_lr": Option(float, _EXAMPLES, "generator: learning rate of its two networks."),
    "generator_width": Option(int, _EXAMPLES, "generator: filters of their first layers."),
    "gan_weight": Option(float, _EXAMPLES, "generator: how much looking clean counts; 0: nothing."),
    "alpha": Option(float, _LOSS, "Mixes: weight of the clean loss, in [0, 1]."),
    "beta": Option(float, _LOSS, "trades, mart: weight of the second term."),
    "gradient_penalty": Option(float, _LOSS, "Weight of the input gradient's size."),
    "gradient_norm": Option(str, _LOSS, "How that is measured: l2 (squared) or l1."),
    "l1": Option(float, _LOSS, "Penalty on the sum of |w|."),
    "l2": Option(float, _LOSS, "Penalty on the sum of w^2."),
    "label_smoothing": Option(float, _LOSS, "In [0, 1)."),
    "imbalance": Option(
        str, _CLASSES, "Images used: under:CLASS=AMOUNT, over:CLASS=AMOUNT, long-tail:RATIO."
    ),
    "class_weights": Option(str, _CLASSES, "Of the loss: none, or balanced."),
    "logit_adjustment": Option(float, _CLASSES, "Times the log share of a class, in the loss; 1."),
    "sampling": Option(str, _CLASSES, "natural, square-root or balanced."),
    "resample": Option(
        str, _CLASSES, "Synthetic images of rare classes: smote, borderline-smote or adasyn."
    ),
    "dropout": Option(float, _LOSS, "In every dropout layer, in [0, 1); else the model's own."),
    "awp": Option(float, _LOSS, "Any recipe: adversarial weight perturbation, 0.005 say."),
    "ema": Option(float, _LOSS, "Any recipe: average the weights, 0.999 say."),
    "epochs": Option(int, _STEPS, "At most."),
    "batch_size": Option(int, _STEPS, "Images a step."),
    "augment": Option(str, _STEPS, "none, or crop-flip: shifted and mirrored images."),
    "optimizer": Option(str, _STEPS, "sgd, rmsprop or adam."),
    "lr": Option(float, _STEPS, "Learning rate, the highest."),
    "momentum": Option(float, _STEPS, "In [0, 1)."),
    "decay": Option(float, _STEPS, "Keras' decay of lr per update."),
    "weight_decay": Option(float, _STEPS, "Times the weights, added to their gradient."),
    "schedule": Option(str, _STEPS, "constant, step, cosine or one-cycle."),
    "milestones": Option(str, _STEPS, "step: shares of the run, 0.5,0.75."),
    "factor": Option(float, _STEPS, "step: of lr at each milestone."),
    "precision": Option(str, _STEPS, "auto, float32 or bfloat16 (weights stay float32)."),
    "validation": Option(float, _END, "Share held out, in [0, 1)."),
    "patience": Option(int, _END, "Epochs without progress."),
    "min_delta": Option(float, _END, "What counts as progress."),
    "best_by": Option(str, _END, "Which epoch is kept: lowest loss, or most accuracy under pgd."),
    "watch_every": Option(int, _END, "Epochs between looks at FGSM and PGD-10; 0: none."),
    "watch_eps": Option(str, _END, "Radius of that look, where eps is not to be it."),
    "stop_at_collapse": Option(bool, _END, "Stop at catastrophic overfitting."),
}


def takes_settings(command: Command) -> Command:
    """Give a command whose last parameter is `**settings` an option for every setting."""
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = [_parameter(name, option) for name, option in OPTIONS.items()]
    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *added)]
    command.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]  # read by inspect
    command.__annotations__ = {p.name: p.annotation for p in every} | {"return": None}
    return command


def given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were typed, read.

    Raises:
        InvalidInput: a radius or a list that is none.

    Example:
        >>> given({"eps": "1/4", "lr": None, "milestones": "0.5,0.9", "stop_at_collapse": False})
        {'eps': 0.25, 'milestones': (0.5, 0.9)}
    """
    typed = {name: v for name, v in settings.items() if v is not None and v is not False}
    return {name: _read(name, value) for name, value in typed.items()}


def _read(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever the option holds
    from epsball.evaluation.settings import parse_eps

    if name in _RADII:
        return parse_eps(value)
    if name not in _LISTS:
        return value
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise InvalidInput(f"--{name} must be numbers such as 0.5,0.75, got {value!r}") from None


def _parameter(name: str, option: Option) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    declared = typer.Option(flag, help=option.help, rich_help_panel=option.group)
    kind: Any = bool if option.kind is bool else option.kind | None
    default = False if option.kind is bool else None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, declared]
    )
