"""A model that computes in another type than the images."""

import torch
from torch import Tensor, nn

from epsball.models.preprocess import Pipeline
from epsball.models.readiness import dtype_of
from epsball.tensors import Classifier


class InOwnPrecision(nn.Module):
    """Show a model images in the type of its parameters, and return float32 scores or finer.

    Args:
        model: the classifier.
        dtype: of its parameters.
    """

    def __init__(self, model: Classifier, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype
        self.training = bool(getattr(model, "training", False))  # the model's mode is its owner's

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores (n, k) of images (n, c, h, w)."""
        scores = self.model(inputs.to(self.dtype))
        coarse = isinstance(scores, Tensor) and scores.dtype in (torch.float16, torch.bfloat16)
        return scores.float() if coarse else scores


def in_own_precision(model: Classifier, images: Tensor) -> Classifier:
    """Wrap a model in float16, bfloat16 or float64 that does not take float32 images itself.

    Args:
        model: the classifier, in eval mode.
        images: (n, c, h, w), float32; it is asked about the first.

    Returns:
        The model, or the wrapped model where only that answers.
    """
    if isinstance(model, Pipeline):  # which scales in float32
        inner = in_own_precision(model.model, model.preprocess(images[:1]))
        return model if inner is model.model else Pipeline(model.preprocess, inner)
    dtype = dtype_of(model)
    if dtype in (None, images.dtype) or _answers(model, images[:1]):
        return model
    wrapped = InOwnPrecision(model, dtype)
    return wrapped if _answers(wrapped, images[:1]) else model


def _answers(model: Classifier, images: Tensor) -> bool:
    try:
        with torch.no_grad():
            model(images.clone())
    except RuntimeError:  # torch's error for operands of two types, and many others
        return False
    return True
