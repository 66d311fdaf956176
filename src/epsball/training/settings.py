"""What a training run is asked to do, as one frozen value. Imports no torch."""

from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from epsball.errors import InvalidInput

OptimizerName: TypeAlias = Literal["sgd", "rmsprop", "adam"]
ScheduleName: TypeAlias = Literal["constant", "cosine", "one-cycle"]
TrainReference: TypeAlias = Literal["true", "predicted", "least_likely", "random"]
PrecisionChoice: TypeAlias = Literal["auto", "float32", "bfloat16"]


class TrainSettings(BaseModel):
    """Everything that decides what a training run learns, beside the model and the pictures.

    Two runs with equal settings, data, architecture, first weights and machine give equal weights.
    The values here are plain starting points; `default_settings` knows better ones for a model.

    Args:
        recipe: a name in `RECIPES`.
        alpha: weight of the clean loss in a mix, in [0, 1]; the adversarial loss has the rest.
        eps: linf radius of the examples made in training, in units of [0, 1] (8/255, not 8).
        reference: the class whose gradient makes those examples. "true" is the source's, and can
            leak the label (see `fgsm_mix_step`); the others do not use it.
        attack_steps: gradient steps that make an example, for recipes that take several.
        l1: penalty on the sum of |w| over weights (biases and normalisation scales left out).
        l2: penalty on the sum of w^2 over the same weights.
        label_smoothing: share of the label's probability given to all classes alike, in [0, 1).
        epochs: passes over the training pictures, at most.
        batch_size: pictures a step.
        optimizer: "sgd", "rmsprop" (rho 0.9) or "adam".
        lr: learning rate; the highest one where a schedule moves it.
        momentum: for "sgd" and "rmsprop", in [0, 1).
        decay: Keras' decay per update: lr / (1 + decay * updates).
        schedule: "constant"; "cosine": half a wave down to 0; "one-cycle": up in the first three
            tenths, then down to 0, in straight lines.
        validation: share of each class that is held out of the training set, in [0, 1). 0: none,
            so no early stopping, and the last weights are the result.
        patience: epochs without a better validation loss before stopping; None: never stop early.
        min_delta: how much lower a validation loss must be to count as better for patience.
        seed: of the split, the order of pictures, dropout and random references.
        device: "auto" (CUDA where there is one, else CPU) or a torch device.
        precision: "bfloat16" (autocast; weights stay float32), "float32", or "auto": bfloat16 where
            the hardware has matrix units for it and the model convolves.

    Raises:
        InvalidInput: a value out of its range, or a name that is no setting.

    Example:
        >>> TrainSettings(recipe="fgsm-mix", eps=0.1).alpha
        0.5
        >>> TrainSettings(alpha=1.5)
        Traceback (most recent call last):
        epsball.errors.InvalidInput: train: alpha: input should be less than or equal to 1, got 1.5
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    recipe: str = "standard"
    alpha: float = Field(default=0.5, ge=0, le=1)
    eps: float | None = Field(default=None, ge=0, le=1)
    reference: TrainReference = "true"
    attack_steps: int = Field(default=7, ge=1)
    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=128, ge=1)
    optimizer: OptimizerName = "adam"
    lr: float = Field(default=1e-3, gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    decay: float = Field(default=0.0, ge=0)
    schedule: ScheduleName = "constant"
    validation: float = Field(default=0.1, ge=0, lt=1)
    patience: int | None = Field(default=None, ge=1)
    min_delta: float = Field(default=0.0, ge=0)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    precision: PrecisionChoice = "auto"

    if not TYPE_CHECKING:  # type checkers keep pydantic's own, typed signature

        def __init__(self, **values: Any) -> None:  # noqa: ANN401 - any setting
            """Check every value; turn pydantic's page of complaints into one line."""
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise _one_line(error) from None

    def changed(self, **values: Any) -> Self:  # noqa: ANN401 - any setting
        """Return a copy with some values replaced, checked like a new one."""
        return type(self)(**{**self.model_dump(), **values})


def _one_line(error: ValidationError) -> InvalidInput:
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = ", ".join(TrainSettings.model_fields)
        return InvalidInput(f"train: {name!r} is no setting; known: {known}")
    complaint = first["msg"][:1].lower() + first["msg"][1:]
    return InvalidInput(f"train: {name}: {complaint}, got {first['input']!r}")
