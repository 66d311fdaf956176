"""What a training run is asked to do, as one frozen value. Imports no torch."""

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


class TrainSettings(BaseModel):
    """Everything that decides what a training run learns, beside the model and the images.

    Two runs with equal settings, data, architecture, first weights and machine give equal weights.
    The values here are plain starting points; `default_settings` knows better ones for a model.

    Args:
        recipe: a name in `RECIPES`.
        alpha: weight of the clean loss in a mix, in [0, 1]; the adversarial loss has the rest.
        eps: radius of the examples made in training, in units of [0, 1] (8/255, not 8); at most 1
            in linf.
        norm: of the ball those examples stay in: "linf" or "l2".
        eps_warmup: share of all updates over which eps rises in a straight line from 0, in [0, 1].
        reference: the class whose gradient makes those examples. "true" is the source's, and can
            leak the label (see `mixed_loss`); the others do not use it.
        attack_steps: gradient steps that make an example, for recipes that take several.
        step_size: length of one of those steps, input units. None: 2.5 * eps / attack_steps, and
            1.25 * eps for "fast".
        beta: weight of the second term of "trades" and "mart".
        replays: how many times in a row "free" uses a batch.
        generator_lr: learning rate of the two networks that "generator" trains beside the model.
        generator_width: filters of their first layers.
        gan_weight: how much their loss counts looking clean, beside fooling the model, for
            "generator"; 0: not at all, and there is no discriminator.
        gradient_penalty: weight of the input gradient's size, for the recipe of that name.
        gradient_norm: how that size is measured: "l2", the squared length, or "l1", the sum.
        awp: with any recipe: how far the weights of a layer are moved uphill before the gradient
            is taken, as a share of their length; 0: not at all (see `weights_uphill`).
        ema: with any recipe: how much of the averaged weights an update leaves, 0.999 say, in
            [0, 1); they are what is validated and kept. 0: no average.
        l1: penalty on the sum of |w| over weights (biases and normalisation scales left out).
        l2: penalty on the sum of w^2 over the same weights.
        label_smoothing: share of the label's probability given to all classes alike, in [0, 1).
        imbalance: which part of the training images is used: a profile of `epsball.data.imbalance`
            ("under:cat=1/5", "long-tail:50"), drawn by the seed before the validation share is.
            None: all.
        class_weights: "balanced": the loss of an image counts in inverse proportion to its class'
            share of the training images, 1 on average; "none": all count alike.
        logit_adjustment: times the logarithm of each class' share of the training images is added
            to its logit in the loss, and to nothing else; 1 aims at balanced accuracy. 0: nothing.
        sampling: how the images of a pass are drawn: "natural", each once; "balanced", with
            replacement, all classes alike; "square-root", in proportion to the square root of
            their sizes.
        resample: images that are added to the rare classes before the first epoch, until all are as
            large as the largest: "smote", "borderline-smote" or "adasyn", mixtures of neighbours in
            pixels by imbalanced-learn.
        dropout: probability in every dropout layer while training, in [0, 1), put back afterwards.
            None: the model's own.
        epochs: passes over the training images, at most.
        batch_size: images a step.
        augment: "none", or "crop-flip": images are shifted and mirrored at random, never twice
            alike (not for digits, whose mirror images mean nothing).
        optimizer: "sgd", "rmsprop" (rho 0.9) or "adam".
        lr: learning rate; the highest one where a schedule moves it.
        momentum: for "sgd" and "rmsprop", in [0, 1).
        decay: Keras' decay per update: lr / (1 + decay * updates).
        weight_decay: times each parameter, added to its gradient before the optimizer sees it.
        schedule: "constant"; "step": times `factor` at each of the `milestones`; "cosine": half a
            wave down to 0; "one-cycle": up in the first three tenths, then down to 0, in straight
            lines.
        milestones: shares of all updates, rising, for "step".
        factor: for "step", in (0, 1).
        validation: share of each class that is held out of the training set, in [0, 1). 0: none,
            so no early stopping, and the last weights are the result.
        patience: epochs without a better validation loss before stopping; None: never stop early.
        min_delta: how much lower a validation loss must be to count as better for patience.
        best_by: which epoch's weights are kept: "loss", that of lowest validation loss, or "pgd",
            that of highest accuracy under the watch's PGD.
        watch_every: after every so many epochs a few hundred held-out images (training images,
            where none are held out) are attacked by FGSM and PGD-10; 0: never. None: 1 for recipes
            that have an eps, else 0.
        watch_eps: radius of that attack; None: eps.
        stop_at_collapse: stop when the watch sees catastrophic overfitting.
        seed: of the split, the order of images, dropout and random references.
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
    eps: float | None = Field(default=None, ge=0)
    norm: BallNorm = "linf"
    eps_warmup: float = Field(default=0.0, ge=0, le=1)
    reference: TrainReference = "true"
    attack_steps: int = Field(default=7, ge=1)
    step_size: float | None = Field(default=None, gt=0)
    beta: float = Field(default=6.0, ge=0)
    replays: int = Field(default=4, ge=1)
    generator_lr: float = Field(default=1e-3, gt=0)
    generator_width: int = Field(default=8, ge=1)
    gan_weight: float = Field(default=0.1, ge=0)
    gradient_penalty: float = Field(default=1.0, ge=0)
    gradient_norm: GradientNorm = "l2"
    awp: float = Field(default=0.0, ge=0, lt=1)
    ema: float = Field(default=0.0, ge=0, lt=1)
    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    imbalance: str | None = None
    class_weights: ClassWeights = "none"
    logit_adjustment: float = Field(default=0.0, ge=0)
    sampling: SamplingName = "natural"
    resample: ResampleName = "none"
    dropout: float | None = Field(default=None, ge=0, lt=1)
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=128, ge=1)
    augment: AugmentName = "none"
    optimizer: OptimizerName = "adam"
    lr: float = Field(default=1e-3, gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    decay: float = Field(default=0.0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: ScheduleName = "constant"
    milestones: tuple[Share, ...] = (0.5, 0.75)
    factor: float = Field(default=0.1, gt=0, lt=1)
    validation: float = Field(default=0.1, ge=0, lt=1)
    patience: int | None = Field(default=None, ge=1)
    min_delta: float = Field(default=0.0, ge=0)
    best_by: BestBy = "loss"
    watch_every: int | None = Field(default=None, ge=0)
    watch_eps: float | None = Field(default=None, gt=0)
    stop_at_collapse: bool = False
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    precision: PrecisionChoice = "auto"

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
    ours = first.get("ctx", {}).get("error")
    if isinstance(ours, InvalidInput):
        return ours
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = ", ".join(TrainSettings.model_fields)
        return InvalidInput(f"train: {name!r} is no setting; known: {known}")
    complaint = first["msg"][:1].lower() + first["msg"][1:]
    return InvalidInput(f"train: {name}: {complaint}, got {first['input']!r}")
