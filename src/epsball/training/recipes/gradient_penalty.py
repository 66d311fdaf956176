"""Recipe `gradient-penalty`: a loss that changes little when the image does."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from epsball.training.measure.losses import cross_entropy_of, scores_of
from epsball.training.recipes.spec import Batch


def gradient_penalty_loss(model: nn.Module, batch: Batch, examples: Callable[[], Tensor]) -> Tensor:
    """Return L(x) + gradient_penalty * the mean size of the gradient of each image's loss.

    The size is the squared length ("l2"), or the sum of absolute values ("l1"): eps times that sum
    is what one FGSM step adds to the loss, to first order.

    The gradient is itself differentiated (double backpropagation). It is counted as one more
    gradient evaluation, and takes longer than one: second derivatives of convolutions have no
    kernels of their own. Layers without a second derivative (ReLU, max pooling) are no obstacle:
    theirs is zero almost everywhere, and the products with the weights remain.

    Args:
        model: gives logits (n, k); run in the mode it is in. In train mode BatchNorm makes a
            image's loss depend on its neighbours; the gradient is that of the sum over the batch.
        batch: `gradient_penalty`, `gradient_norm` and `label_smoothing` are read.
        examples: not asked for.

    Returns:
        A scalar that carries the gradient to the parameters.

    Source: Drucker and LeCun 1992, "Improving generalization performance using double
    backpropagation"; against attacks: Ross and Doshi-Velez 2018, arXiv:1711.09404 (squared length);
    the sum: Simon-Gabriel et al. 2019, arXiv:1802.01421. Departure: the penalised gradient is that
    of the plain cross-entropy, without label smoothing.
    """
    del examples
    settings, keep = batch.settings, torch.is_grad_enabled()
    point = batch.images.detach().requires_grad_()
    with torch.enable_grad():
        logits = scores_of(model, point)
        each = functional.cross_entropy(logits, batch.labels, reduction="sum")
        (slope,) = torch.autograd.grad(each, point, create_graph=keep, retain_graph=True)
    entries = slope.float().flatten(1)
    sizes = entries.abs().sum(1) if settings.gradient_norm == "l1" else entries.square().sum(1)
    loss = cross_entropy_of(logits, batch.labels, settings, batch.counts)
    return loss + settings.gradient_penalty * sizes.mean()
