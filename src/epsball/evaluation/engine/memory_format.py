"""Whether a model gives the same scores and gradients in another memory format."""

import torch
from torch import Tensor

from epsball.evaluation.engine.asking import ask
from epsball.tensors import Classifier

# how far scores and gradients in another memory format may differ, as a share of the largest
_ALIKE = (1e-4, 1e-2)


def formats_agree(model: Classifier, images: Tensor) -> bool:
    """Say whether scores and gradients of channels-last images are those of contiguous ones.

    Args:
        model: the classifier, on the device of the images.
        images: (n, c, h, w); the first four are used.
    """
    if images.shape[1] == 1:  # the two formats are one
        return False
    try:
        one = _scores_and_slope(model, images, channels_last=False)
        other = _scores_and_slope(model, images, channels_last=True)
        return all(
            bool((a - b).abs().max() <= alike * a.abs().max())
            for a, b, alike in zip(one, other, _ALIKE, strict=False)
        )
    except Exception:  # `view` refuses them, say: then they stay contiguous
        return False


def _scores_and_slope(
    model: Classifier, images: Tensor, *, channels_last: bool
) -> tuple[Tensor, ...]:
    point = images[:4].clone().requires_grad_()
    with torch.enable_grad():
        scores = ask(model, point, channels_last=channels_last)
    if not scores.requires_grad:
        return (scores,)
    weights = torch.linspace(1, 2, scores.shape[1], device=scores.device)
    return scores.detach(), torch.autograd.grad((scores * weights).sum(), point)[0]
