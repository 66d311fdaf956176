"""Which images an oracle is asked about next, so that a substitute learns most from the answers."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from epsball.attacks import fgsm, mifgsm
from epsball.tensors import Images, Labels
from epsball.types import Norm

_GREY_LEVELS = 255
_BATCH = 256
_MOVED = 2  # pixels, at most
_LEAST_EPS = 1 / 3  # of the largest radius
_STEPS = (3, 11)  # of momentum: at least, and below
_ONE_STEP = 3  # every third image


def jacobian_questions(model: nn.Module, images: Images, labels: Labels, *, step: float) -> Images:
    """Move images along the sign of the gradient of the score of their label, and round them.

    Args:
        model: the substitute so far.
        images: (n, c, h, w) in [0, 1].
        labels: (n,), the oracle's.
        step: length, input units; below 0: away from the label.

    Source: Papernot et al. 2017, arXiv:1602.02697, section 4. Departure: rounded to 8 bits.
    """
    parts = []
    for some, of in zip(torch.split(images, _BATCH), torch.split(labels, _BATCH), strict=True):
        here = some.detach().requires_grad_()
        with torch.enable_grad():
            score = model(here).gather(1, of[:, None]).sum()
        (gradient,) = torch.autograd.grad(score, here)
        parts.append(_rounded((some + step * gradient.sign()).clamp(0, 1)))
    return torch.cat(parts)


def attack_questions(
    model: nn.Module,
    images: Images,
    *,
    norm: Norm,
    eps: float,
    generator: torch.Generator,
) -> Images:
    """Attack the substitute, so that the answers tell which of its attacks fool the oracle.

    Every image is first moved by up to two pixels; a third is then attacked by one step, the
    others by 3 to 10 steps with momentum, away from the substitute's own label, within a radius
    drawn between a third of eps and eps.

    Args:
        model: the substitute so far.
        images: (n, c, h, w) in [0, 1].
        norm: of the radius, "linf" or "l2".
        eps: largest radius, input units.
        generator: draws moves, radius and steps.

    Source: Juuti et al. 2019, arXiv:1805.02628, section 4, whose queries are iterated steps on the
    substitute, too. Departures: steps lead away from a label and not to a random one, have
    momentum, and their number and radius vary; images are moved first.
    """
    drawn = eps * float(torch.empty(()).uniform_(_LEAST_EPS, 1, generator=generator))
    steps = int(torch.randint(*_STEPS, (), generator=generator))
    parts = []
    for some in torch.split(_moved(images, generator), _BATCH):
        with torch.no_grad():
            own = model(some).argmax(1)
        once = torch.arange(len(some)) % _ONE_STEP == 0
        attacked = some.clone()
        if once.any():
            attacked[once] = fgsm(model, some[once], own[once], norm=norm, eps=drawn)
        if not once.all():
            attacked[~once] = mifgsm(
                model, some[~once], own[~once], norm=norm, eps=drawn, steps=steps
            )
        parts.append(_rounded(attacked))
    return torch.cat(parts)


def _moved(images: Images, generator: torch.Generator) -> Images:
    """Move every image by up to two pixels each way; its border is repeated."""
    height, width = images.shape[2:]
    wide = pad(images, (_MOVED,) * 4, mode="replicate")
    places = torch.randint(2 * _MOVED + 1, (len(images), 2), generator=generator).tolist()
    cut = [
        image[:, row : row + height, column : column + width]
        for image, (row, column) in zip(wide, places, strict=True)
    ]
    return torch.stack(cut)


def _rounded(images: Tensor) -> Tensor:
    """Return images as they can be sent, in 8 bits."""
    return (images * _GREY_LEVELS).round() / _GREY_LEVELS
