"""What a training run is asked to do, as one frozen value. Imports no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from epsball.errors import InvalidInput

OptimizerName: TypeAlias = Literal["sgd", "rmsprop", "adam"]
ScheduleName: TypeAlias = Literal["constant", "step", "cosine", "one-cycle"]
TrainReference: TypeAlias = Literal["true", "predicted", "least_likely", "random"]
PrecisionChoice: TypeAlias = Literal["auto", "float32", "bfloat16"]
BallNorm: TypeAlias = Literal["linf", "l2"]
GradientNorm: TypeAlias = Literal["l2", "l1"]
AugmentName: TypeAlias = Literal["none", "crop-flip"]
ClassWeights: TypeAlias = Literal["none", "balanced"]
SamplingName: TypeAlias = Literal["natural", "square-root", "balanced"]
ResampleName: TypeAlias = Literal["none", "smote", "borderline-smote", "adasyn"]
BestBy: TypeAlias = Literal["loss", "pgd"]
Share: TypeAlias = Annotated[float, Field(gt=0, lt=1)]


# the groups of `epsball train --help`, by the first setting of each
PANELS: Mapping[str, str] = {
    "recipe": "Examples",
    "alpha": "Loss and weights",
    "imbalance": "Rare classes",
    "epochs": "Optimizer",
    "validation": "Stopping and watch",
    "seed": "Run",
}


class TrainSettings(BaseModel):
    """Everything that decides what a training run learns, beside the model and the images.

    Two runs with equal settings, data, architecture, first weights and machine give equal weights.
    The values here are plain starting points; `default_settings` knows better ones for a model.

    Raises:
        InvalidInput: a value out of its range, or a name that is no setting.

    Example:
        >>> TrainSettings(recipe="fgsm-mix", eps=0.1).alpha
        0.5
        >>> TrainSettings(alpha=1.5)
        Traceback (most recent call last):
        epsball.errors.InvalidInput: train: alpha: input should be less than or equal to 1, got 1.5
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    recipe: str = "standard"
    """Name of the recipe, see `epsball list recipes`."""
    eps: float | None = Field(default=None, ge=0)
    """Radius of the adversarial examples, in units of [0, 1]: 0.1 or 8/255, not 8; at most 1 in
    linf."""
    norm: BallNorm = "linf"
    """Norm of that radius: "linf" or "l2"."""
    eps_warmup: float = Field(default=0.0, ge=0, le=1)
    """Share of all updates over which eps rises in a straight line from 0, in [0, 1]."""
    reference: TrainReference = "true"
    """Class whose gradient the examples follow: "true" as in the source, which can leak the label,
    or "predicted", "least_likely", "random", which cannot."""
    attack_steps: int = Field(default=7, ge=1)
    """Gradient steps per example, for recipes that take several."""
    step_size: float | None = Field(default=None, gt=0)
    """Length of one gradient step, input units: 2/255. None: 2.5 * eps / attack_steps, and
    1.25 * eps for "fast"."""
    replays: int = Field(default=4, ge=1)
    """How many times in a row "free" uses a batch."""
    generator_lr: float = Field(default=1e-3, gt=0)
    """Learning rate of the two networks that "generator" trains beside the model."""
    generator_width: int = Field(default=8, ge=1)
    """Filters in the first layers of those two networks."""
    gan_weight: float = Field(default=0.1, ge=0)
    """Weight of the discriminator in the loss of "generator", beside fooling the model; 0: no
    discriminator."""
    alpha: float = Field(default=0.5, ge=0, le=1)
    """Weight of the clean loss in a mix, in [0, 1]; the adversarial loss has the rest."""
    beta: float = Field(default=6.0, ge=0)
    """Weight of the second term of "trades" and "mart"."""
    gradient_penalty: float = Field(default=1.0, ge=0)
    """Weight of the input gradient's size, for the recipe of that name."""
    gradient_norm: GradientNorm = "l2"
    """Measure of the input gradient: "l2", the squared length, or "l1", the sum."""
    l1: float = Field(default=0.0, ge=0)
    """Penalty on the sum of |w| over weights (biases and normalisation scales left out)."""
    l2: float = Field(default=0.0, ge=0)
    """Penalty on the sum of w^2 over weights (biases and normalisation scales left out)."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the label's probability given to all classes alike, in [0, 1)."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Probability in every dropout layer while training, in [0, 1), put back afterwards. None: the
    model's own."""
    awp: float = Field(default=0.0, ge=0, lt=1)
    """Adversarial weight perturbation, with any recipe: how far the weights of a layer move uphill
    before the gradient is taken, as a share of their length, 0.005 say; 0: not at all."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights, with any recipe, in [0, 1), 0.999 say;
    the average is validated and kept. 0: no average."""
    imbalance: str | None = None
    """Part of the training images that is used, a profile of `epsball.data.profiles`:
    "under:cat=1/5", "over:CLASS=AMOUNT" or "long-tail:50", drawn by the seed before the validation
    share is. None: all."""
    class_weights: ClassWeights = "none"
    """Either "balanced": the loss of an image counts in inverse proportion to its class' share of
    the training images, 1 on average; or "none": all count alike."""
    logit_adjustment: float = Field(default=0.0, ge=0)
    """Factor of the logarithm of each class' share of the training images, which is added to its
    logit in the loss and nowhere else; 1 aims at balanced accuracy, 0 changes nothing."""
    sampling: SamplingName = "natural"
    """How the images of an epoch are drawn: "natural", each once; "balanced", with replacement, all
    classes alike; "square-root", in proportion to the square root of their sizes."""
    resample: ResampleName = "none"
    """Synthetic images that are added to the rare classes before the first epoch, until all are as
    large as the largest: "smote", "borderline-smote" or "adasyn" of imbalanced-learn, mixtures of
    neighbours in pixels; or "none"."""
    epochs: int = Field(default=20, ge=1)
    """Passes over the training images, at most."""
    batch_size: int = Field(default=128, ge=1)
    """Images per step."""
    augment: AugmentName = "none"
    """Either "none" or "crop-flip": images are shifted and mirrored at random, never twice alike
    (not for digits, whose mirror images mean nothing)."""
    optimizer: OptimizerName = "adam"
    """One of "sgd", "rmsprop" (rho 0.9) and "adam"."""
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate; the highest one where a schedule moves it."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """For "sgd" and "rmsprop", in [0, 1)."""
    decay: float = Field(default=0.0, ge=0)
    """Keras' decay per update: lr / (1 + decay * updates)."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Coupled weight decay: this times each parameter is added to its gradient."""
    schedule: ScheduleName = "constant"
    """One of "constant"; "step": times `factor` at each of the `milestones`; "cosine": half a wave
    down to 0; "one-cycle": up in the first three tenths, then down to 0, in straight lines."""
    milestones: tuple[Share, ...] = (0.5, 0.75)
    """Shares of all updates at which "step" lowers the rate, rising: 0.5,0.75."""
    factor: float = Field(default=0.1, gt=0, lt=1)
    """Factor of the rate at each milestone of "step", in (0, 1)."""
    precision: PrecisionChoice = "auto"
    """One of "bfloat16" (autocast; weights stay float32), "float32" and "auto": bfloat16 where the
    hardware has matrix units for it and the model convolves."""
    validation: float = Field(default=0.1, ge=0, lt=1)
    """Share of each class that is held out of the training set, in [0, 1). 0: none, so no early
    stopping, and the last weights are the result."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without a better validation loss before stopping; None: never stop early."""
    min_delta: float = Field(default=0.0, ge=0)
    """How much lower a validation loss must be to count as better for patience."""
    best_by: BestBy = "loss"
    """Epoch whose weights are kept: "loss", the lowest validation loss, or "pgd", the highest
    accuracy under PGD-10 (see `watch_every`)."""
    watch_every: int | None = Field(default=None, ge=0)
    """After every so many epochs a few hundred held-out images (training images, where none are
    held out) are attacked by FGSM and PGD-10; 0: never. None: 1 for recipes that have an eps, else
    0."""
    watch_eps: float | None = Field(default=None, gt=0)
    """Radius of the attacks of `watch_every`; None: eps."""
    stop_at_collapse: bool = False
    """Stop when `watch_every` finds catastrophic overfitting."""
    seed: int = Field(default=0, ge=0)
    """Seed of the split, the order of images, dropout and random references."""
    device: str = "auto"
    """Either "auto" (CUDA where there is one, else CPU) or a torch device name."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        """Refuse radii beyond what a pixel can hold, and milestones that do not rise."""
        for name in ("eps", "watch_eps"):
            value = getattr(self, name)
            if self.norm == "linf" and value is not None and value > 1:
                raise InvalidInput(
                    f"train: {name}: pixels are in [0, 1], so in linf it is at most 1, got "
                    f"{value:g}; write 8/255, not 8"
                )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise InvalidInput(f"train: milestones must rise, got {self.milestones}")
        return self

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
    own_error = first.get("ctx", {}).get("error")
    if isinstance(own_error, InvalidInput):
        return own_error
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = ", ".join(TrainSettings.model_fields)
        return InvalidInput(f"train: {name!r} is no setting; known: {known}")
    complaint = first["msg"][:1].lower() + first["msg"][1:]
    return InvalidInput(f"train: {name}: {complaint}, got {first['input']!r}")
