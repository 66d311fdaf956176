"""Recipe `standard`: the clean images only."""

from collections.abc import Callable

from torch import Tensor, nn

from epsball.training.measure.losses import data_loss
from epsball.training.recipes.spec import Batch


def standard_loss(model: nn.Module, batch: Batch, examples: Callable[[], Tensor]) -> Tensor:
    """Return the cross-entropy of the clean images.

    Args:
        model: gives logits (n, k); run in the mode it is in.
        batch: `label_smoothing` is read.
        examples: not asked for.

    Returns:
        A scalar that carries the gradient to the parameters.
    """
    del examples
    return data_loss(model, batch.images, batch.labels, batch.settings, batch.counts)
