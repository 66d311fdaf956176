"""A model that computes in another type than the images."""

import torch
from torch import Tensor, nn

from epsball.models.preprocess import Pipeline
from epsball.models.readiness import dtypes_of
from epsball.object_graph import modules_behind
from epsball.tensors import Classifier

_OTHERS = (torch.float16, torch.bfloat16, torch.float64)
_SAME = 1e-3  # float32 sums in another order differ by some 1e-6


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
        images: (n, c, h, w), float32; the first is given to the model.

    Returns:
        The model, or the wrapped model where only that answers.
    """
    if isinstance(model, Pipeline):  # which scales in float32
        inner = in_own_precision(model.model, model.preprocess(images[:1]))
        return model if inner is model.model else Pipeline(model.preprocess, inner)
    kinds = dtypes_of(model) or _OTHERS  # a frozen script has no parameters that show their dtype
    if kinds == (images.dtype,) or _answers(model, images[:1]):
        return model
    wrapped = (InOwnPrecision(model, dtype) for dtype in kinds if dtype != images.dtype)
    return next((one for one in wrapped if _answers(one, images[:1])), model)


def tolerance_of(model: object) -> float:
    """Return how far scores of equal images may differ, as a share of the largest score."""
    coarse = {torch.bfloat16: 4e-2, torch.float16: 5e-3}
    dtypes = [dtype for dtype in (*dtypes_of(model), _asked_in(model)) if dtype in coarse]
    return max([_SAME, *(coarse[dtype] for dtype in dtypes)])


def _asked_in(model: object) -> torch.dtype | None:
    """Return the type in which images are shown to a model; None where as they are."""
    for part in modules_behind(model).values():
        for module in part.modules():
            if isinstance(module, InOwnPrecision):
                return module.dtype
    return None


def _answers(model: Classifier, images: Tensor) -> bool:
    try:
        with torch.no_grad():
            model(images.clone())
    except torch.OutOfMemoryError:
        raise
    except Exception:  # operands of two types, mostly; the model is asked again, and told of
        return False
    return True
