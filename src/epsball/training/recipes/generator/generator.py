"""Recipe `generator`: a network learns to make the examples, at one forward pass each."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from epsball.training.measure.losses import scores_of
from epsball.training.recipes.generator.memory import DISCRIMINATOR, GENERATOR, descend, recall
from epsball.training.recipes.generator.nets import (
    Shapes,
    discern,
    discriminator_shapes,
    generator_shapes,
    perturb,
)
from epsball.training.recipes.spec import Batch
from epsball.training.setup.modes import evaluating


def generator_examples(model: nn.Module, batch: Batch) -> Tensor:
    """Return images that a generator has moved within eps, and train the generator on them.

    Two networks are trained beside the classifier. The generator sees an image and says in which
    direction it is to be moved, and by eps it is. The discriminator tells such images from clean
    ones. On every batch the generator takes a step up the classifier's loss, and, by `gan_weight`,
    towards what the discriminator takes for clean; then the discriminator takes one of its own.

    A batch costs one gradient evaluation of the classifier, which trains the generator (in eval
    mode, see `mixed_loss`), however many steps PGD would take; and passes of the two small
    networks, which count in the seconds but not as gradient evaluations. The price is strength: a
    generator lags behind the classifier, and does not see the gradient of an image.

    Args:
        model: gives logits (n, k); its parameters get no gradient.
        batch: `eps`, `norm`, `generator_lr`, `generator_width` and `gan_weight` are read; its
            memory holds both networks, and its generator draws their first weights.

    Returns:
        (n, c, h, w) in [0, 1], within eps of the images, without gradient; made before the
        generator's step.

    Source: Xiao et al. 2018, arXiv:1801.02610 (AdvGAN), section 3. Departures: the hinge
    on the perturbation's length is a hard budget, the same as for every other recipe; the
    generator climbs the cross-entropy, because Carlini and Wagner's loss is flat once the
    classifier is fooled; the classifier is trained in the same steps (the source attacks a fixed
    one); layers that go up rearrange channels, and none is normalised. The validation loss is that
    of `fast_examples`: a generator that is still weak would make the first epochs look best.
    """
    settings, images, weight = batch.settings, batch.images, batch.settings.gan_weight
    with torch.enable_grad(), evaluating(model):
        generator = _net(batch, GENERATOR, generator_shapes)
        attacked = perturb(generator, images, eps=batch.eps, norm=settings.norm)
        loss = -functional.cross_entropy(scores_of(model, attacked), batch.labels)
        if weight:
            discriminator = _net(batch, DISCRIMINATOR, discriminator_shapes)
            loss = loss + weight * functional.softplus(-discern(discriminator, attacked)).mean()
        _learn(batch, GENERATOR, generator, loss)
        if weight:
            _learn(batch, DISCRIMINATOR, discriminator, _confusion(discriminator, images, attacked))
    return attacked.detach()


def _confusion(weights: dict[str, Tensor], images: Tensor, perturbed: Tensor) -> Tensor:
    """Return the discriminator's own loss, minus what it is to climb in the source's equation 1."""
    clean, moved = discern(weights, images), discern(weights, perturbed.detach())
    return functional.softplus(-clean).mean() + functional.softplus(moved).mean()


def _net(batch: Batch, net: str, shapes: Callable[[int, int], Shapes]) -> dict[str, Tensor]:
    expected = shapes(batch.images.shape[1], batch.settings.generator_width)
    return recall(batch.memory, net, expected, batch.images, batch.generator)


def _learn(batch: Batch, net: str, weights: dict[str, Tensor], loss: Tensor) -> None:
    slopes = torch.autograd.grad(loss, list(weights.values()))
    by_name = dict(zip(weights, slopes, strict=True))
    descend(batch.memory, net, by_name, batch.settings.generator_lr)
