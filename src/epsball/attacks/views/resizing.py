"""The views of input diversity and of scale invariance."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from epsball.attacks.views.blocks import draw
from epsball.randomness import Randomness

_RATE = 1.1
_SCALES = 5


def diversity(images: Tensor, number: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature for every view
    """Shrink half of the images by up to 1 / 1.1 and put them at a random place on black.

    Args:
        images: (n, c, h, w), in [0, 1].
        number: of the copy; not used.
        generator: source of sizes and places.

    Returns:
        (n, c, h, w), differentiable in images.

    Source: Xie et al. 2019, arXiv:1803.06978, section 3.3. Departures: the canvas of 1.1 times the
    size is scaled back, as in TransferAttack, so that any network takes it; both steps are one
    interpolation; sizes are real numbers; every image of a batch draws its own.
    """
    size = 1 / _RATE + (1 - 1 / _RATE) * draw(images, generator=generator)  # of the canvas
    places = draw(images, 2, generator=generator) * (1 - size)[:, None]
    unchanged = draw(images, generator=generator) < 0.5
    factor = torch.where(unchanged, 1.0, 1 / size)
    offset = torch.where(unchanged[:, None], 0.0, (1 - 2 * places) / size[:, None] - 1)
    nothing = torch.zeros_like(factor)
    across = torch.stack((factor, nothing, offset[:, 0]), 1)
    down = torch.stack((nothing, factor, offset[:, 1]), 1)
    grid = affine_grid(torch.stack((across, down), 1), list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def scale(images: Tensor, number: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature for every view
    """Divide the images by 1, 2, 4, 8 or 16, in turn.

    Args:
        images: (n, c, h, w), in [0, 1].
        number: of the copy; it selects the divisor.
        generator: not used.

    Returns:
        (n, c, h, w), differentiable in images.

    Source: Lin et al. 2020, arXiv:1908.06281, section 3.3.
    """
    divided: Tensor = images / 2 ** (number % _SCALES)
    return divided
