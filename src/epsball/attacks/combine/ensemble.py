"""Several models as one."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from epsball.attacks.core.asking import scores
from epsball.attacks.core.wrapping import adopt_mode, info_of
from epsball.errors import BrokenContract, InvalidInput, unknown_name
from epsball.tensors import Classifier
from epsball.types import ModelInfo

Over: TypeAlias = Literal["logits", "probabilities"]


class Ensemble(nn.Module):
    """The weighted mean of several classifiers; see `ensemble` for the arguments."""

    info: ModelInfo

    def __init__(self, models: Sequence[Classifier], weights: Sequence[float], over: Over) -> None:
        super().__init__()
        self.weights = tuple(weights)
        self.over = over
        for number, model in enumerate(models):
            setattr(self, f"model_{number}", model)  # modules are registered, other callables held
        adopt_mode(self, *models)
        if (info := _common(models, over)) is not None:
            self.info = info

    @property
    def models(self) -> list[Classifier]:
        """Return the models, in order."""
        return [getattr(self, f"model_{number}") for number in range(len(self.weights))]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the ensemble's scores, (n, k)."""
        answers = [self._terms(model, scores(model, inputs)) for model in self.models]
        shapes = {tuple(answer.shape) for answer in answers}
        if len(shapes) > 1:
            raise BrokenContract(
                f"ensemble: models must give scores of one shape, got {sorted(shapes)}; "
                "leave out those with other classes"
            )
        terms = torch.stack(answers)  # (models, n, k)
        weights = terms.new_tensor(self.weights).view(-1, 1, 1)
        if self.over == "logits":
            return (weights * terms).sum(0)
        return (terms + weights.log()).logsumexp(0)

    def _terms(self, model: Classifier, answer: Tensor) -> Tensor:
        """Return what is averaged: logits, or the logarithm of probabilities."""
        if self.over == "logits":
            return answer
        info = info_of(model)
        if info is not None and info.gives in ("probabilities", "labels"):
            return answer.clamp_min(torch.finfo(answer.dtype).tiny).log()
        return answer.log_softmax(1)

    def extra_repr(self) -> str:
        """Return the settings: they are part of what the model is."""
        return f"weights={self.weights}, over={self.over}"


def ensemble(
    models: Sequence[Classifier], *, weights: Sequence[float] | None = None, over: Over = "logits"
) -> Ensemble:
    """Average several models, so that an attack on the mean fools them together.

    An image that fools many known models often fools an unknown one too.

    Args:
        models: at least one; each (n, c, h, w) in [0, 1] to scores (n, k), of the same k classes.
        weights: one a model, above 0; they are scaled to sum to 1. None: all alike.
        over: what is averaged. "logits": the models' scores, which a model with large ones leads.
            "probabilities": the scores are the logarithm of the mean probability; a model is taken
            to give logits unless its `info` says otherwise.

    Returns:
        A classifier that asks every model once a question.

    Raises:
        InvalidInput: no models, weights that break their rule, models that differ in what they
            give; when called, BrokenContract where the shapes of their scores differ.

    Source: Liu et al. 2017, arXiv:1611.02770, section 5 ("probabilities": the cross-entropy of
    these scores is their loss); Dong et al. 2018, arXiv:1710.06081, section 3.2 ("logits", which
    they find to work best). Departure: their third way, the mean of the losses, has no scores and
    is left out.

    Example:
        >>> flat, doubled = torch.nn.Flatten(), lambda x: 2 * x.flatten(1)
        >>> both = ensemble([flat, doubled], weights=[3, 1])
        >>> both(torch.tensor([[[[0.0, 0.8]]]])).tolist()
        [[0.0, 1.0]]
    """
    if not models:
        raise InvalidInput("ensemble: models must hold at least one, got none")
    if over not in get_args(Over):
        raise unknown_name("mean over", over, get_args(Over))
    weights = [1.0] * len(models) if weights is None else weights
    if len(weights) != len(models) or not all(0 < w < math.inf for w in weights):
        raise InvalidInput(
            f"ensemble: weights must be {len(models)} numbers above 0, one a model, "
            f"got {list(weights)}"
        )
    return Ensemble(models, [weight / sum(weights) for weight in weights], over)


def _common(models: Sequence[Classifier], over: Over) -> ModelInfo | None:
    """Return what is known of the ensemble, and refuse models that do not go together."""
    infos = [info for model in models if (info := info_of(model)) is not None]
    if not infos:
        return None
    first = infos[0]
    for info in infos:
        if (info.classes, info.rejects) != (first.classes, first.rejects):
            raise InvalidInput(
                "ensemble: models must have the same classes, and all or none may reject, "
                f"got {first} and {info}; leave one of them out"
            )
        if over == "logits" and info.gives in ("probabilities", "labels"):
            raise InvalidInput(
                f"ensemble: the mean of logits needs models that give them, got {info}; "
                "use over='probabilities'"
            )
    return replace(
        first,
        gives="logits" if over == "logits" else "log-probabilities",
        differentiable=all(info.differentiable for info in infos),
    )
