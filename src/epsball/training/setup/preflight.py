"""What is checked before the first step, so that a mistake costs seconds and not an epoch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from epsball.data import to_unit
from epsball.errors import EpsballError, InvalidInput
from epsball.models import class_names_of, probe
from epsball.training.recipes.spec import RecipeSpec
from epsball.training.setup.feeding import Feed
from epsball.training.setup.modes import dropout_layers, evaluating
from epsball.training.setup.settings import TrainSettings
from epsball.types import Dataset, ModelInfo

_SHOWN = 8  # images
_SPREAD = 512  # images whose range is compared with eps
_TRAINABLE = ("logits", "log-probabilities")  # cross-entropy is the same for both


def check_fit(model: nn.Module, feed: Feed) -> tuple[Tensor, int]:
    """Check that the model takes these images and can name these labels.

    Args:
        model: shown a few images, in eval mode, where it is.
        feed: the training images.

    Returns:
        Those few images, (m, c, h, w) in [0, 1], and the number of classes that the model names.

    Raises:
        InvalidInput: the model has nothing to train, gives no logits, rejects, or names fewer
            classes than the labels.
        BrokenContract: the model does not take the images, or gives no scores (n, k).
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise InvalidInput(
            f"train: {type(model).__name__} has no parameter that wants a gradient, so there is "
            "nothing to train; unfreeze some with requires_grad_()"
        )
    sample = to_unit(feed.pixels(np.arange(min(_SHOWN, len(feed.dataset)))))
    with evaluating(model), torch.no_grad():
        info = probe(model, sample.to(weights[0].device))
    _check_scores(info)
    _check_labels(feed.dataset.labels, info.classes, feed.dataset.name)
    _check_names(model, info.classes, feed.dataset)
    if feed.held_out is not None:
        _check_held_out(feed.held_out, feed.dataset, info.classes)
    return sample, info.classes


def check_eps(feed: Feed, settings: TrainSettings) -> None:
    """Check that the radius of the examples is none that could make any image of any other.

    Raises:
        InvalidInput: eps exceeds the range of the images' values; they may not be scaled to
            [0, 1].
    """
    count = len(feed.dataset)
    rows = np.linspace(0, count - 1, min(count, _SPREAD), dtype=np.int64)
    images = to_unit(feed.pixels(rows))
    low, high = float(images.min()), float(images.max())
    for name, eps in (("eps", settings.eps), ("watch_eps", settings.watch_eps)):
        if eps is not None and settings.norm == "linf" and low < high and eps > high - low:
            raise InvalidInput(
                f"train: {name} {eps:g} exceeds the range of the images, {low:g} to {high:g}; "
                "give a smaller one, or images that are scaled to [0, 1]"
            )


def check_dropout(model: nn.Module, dropout: float | None) -> None:
    """Check that a model has layers to which a probability of dropping can be given.

    Raises:
        InvalidInput: it has none, so that the setting would do nothing.
    """
    if dropout and not dropout_layers(model):
        raise InvalidInput(
            f"train: dropout {dropout:g} needs dropout layers, and {type(model).__name__} has "
            "none; put nn.Dropout where values are to be dropped, or leave it out"
        )


def check_sources(
    model: nn.Module,
    sources: Sequence[nn.Module],
    sample: Tensor,
    recipe: RecipeSpec,
    name: str,
) -> None:
    """Check that source models are as many as the recipe takes, and take these images.

    Args:
        model: the one that is trained.
        sources: the others.
        sample: (m, c, h, w), a few images.
        recipe: what it says of sources.
        name: of the recipe.

    Raises:
        InvalidInput: too few or too many; one takes images of another size, names other classes,
            or, where its weights are trained on, has another architecture.
    """
    fewest, most = recipe.sources
    if len(sources) < fewest:
        raise InvalidInput(
            f"train: recipe {name!r} makes examples on source models, got none; give trained ones "
            "(--source MODEL=WEIGHTS, or sources=[...])"
        )
    if most is not None and len(sources) > most:
        takes = f"at most {most} source" if most else "no source"
        raise InvalidInput(
            f"train: recipe {name!r} takes {takes}, got {len(sources)}; leave it out"
        )
    for number, source in enumerate(sources, 1):
        _check_source(model, source, sample, f"source {number} ({type(source).__name__})")
        if recipe.made_once and recipe.made_once.from_source:
            _check_same_shapes(model, source, f"source {number} ({type(source).__name__})")


def _check_source(model: nn.Module, source: nn.Module, sample: Tensor, who: str) -> None:
    shape = "x".join(map(str, sample.shape[1:]))
    with evaluating(source), evaluating(model), torch.no_grad():
        try:
            given = probe(source, sample.to(home_of(source))).classes
        except (EpsballError, RuntimeError, ValueError) as error:
            line = next(iter(str(error).splitlines()), "")
            raise InvalidInput(
                f"train: {who} does not take images of {shape} ({line}); give a source that was "
                "trained on these data"
            ) from None
        expected = probe(model, sample.to(home_of(model))).classes
    if given != expected:
        raise InvalidInput(
            f"train: {who} names {given} classes and the model {expected}; give a source that was "
            "trained on these data"
        )


def _check_same_shapes(model: nn.Module, source: nn.Module, who: str) -> None:
    own = {name: value.shape for name, value in model.state_dict().items()}
    if own != {name: value.shape for name, value in source.state_dict().items()}:
        raise InvalidInput(
            f"train: {who} has other weights than the model, and this recipe trains the source's "
            "weights on; give one of the model's own architecture"
        )


def home_of(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters."""
    return next((weight.device for weight in model.parameters()), torch.device("cpu"))


def _check_scores(info: ModelInfo) -> None:
    if info.gives not in _TRAINABLE:
        raise InvalidInput(
            f"train: the model gives {info.gives}, and training needs logits; leave what turns "
            "logits into them (a softmax, an argmax) out of its end"
        )
    if info.rejects:
        raise InvalidInput(
            "train: the model has a column that means reject, which no label names; train the "
            "network inside it, then fit the defence"
        )


def _check_held_out(held_out: Dataset, dataset: Dataset, classes: int) -> None:
    if len(held_out) == 0 or held_out.shape != dataset.shape:
        raise InvalidInput(
            f"train: the images to validate on must be one or more of shape {dataset.shape}, got "
            f"{len(held_out)} of {held_out.shape}; give others"
        )
    _check_labels(held_out.labels, classes, held_out.name)


def _check_names(model: nn.Module, classes: int, dataset: Dataset) -> None:
    """Refuse labels that number classes otherwise than a model that names them."""
    own = [name.casefold() for name in class_names_of(model) or ()]
    if len(own) != classes:  # names of a head that was replaced
        return
    for label, name in enumerate(dataset.class_names):
        if name.casefold() in own and own[label : label + 1] != [name.casefold()]:
            raise InvalidInput(
                f"train: {dataset.name!r} has {name!r} as class {label}, and the model's own names "
                f"have it as class {own.index(name.casefold())}; give labels in the model's order, "
                "or take its names away"
            )


def _check_labels(labels: np.ndarray, classes: int, name: str) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InvalidInput(
            f"train: labels must lie in [0, {classes - 1}] for a model of {classes} classes, but "
            f"{name!r} has labels from {low} to {high}; build the model with {high + 1} classes"
        )
