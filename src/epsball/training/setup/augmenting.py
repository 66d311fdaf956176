"""Images that are never twice the same: shifted and mirrored, as every CIFAR-10 recipe does."""

import torch
from torch import Tensor
from torch.nn import functional

from epsball.tensors import Images

_SHIFT = 4  # pixels, at 32 x 32: an eighth of the side


def crop_and_flip(images: Images, generator: torch.Generator) -> Tensor:
    """Shift every image by up to an eighth of its side, and mirror every second one, at random.

    Args:
        images: (n, c, h, w), in [0, 1].
        generator: on the device of the images.

    Returns:
        (n, c, h, w); what is shifted in is black.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2.
    """
    count, _, height, width = images.shape
    place = images.device
    pad = max(1, _SHIFT * height // 32)

    def draw(below: int) -> Tensor:
        return torch.randint(below, (count, 1), generator=generator, device=place)

    rows = torch.arange(height, device=place) + draw(2 * pad + 1)
    columns = torch.arange(width, device=place).expand(count, width)
    columns = torch.where(draw(2) == 1, columns.flip(1), columns) + draw(2 * pad + 1)
    padded = functional.pad(images, (pad, pad, pad, pad)).permute(0, 2, 3, 1)
    number = torch.arange(count, device=place)[:, None, None]
    moved = padded[number, rows[:, :, None], columns[:, None, :]]  # (n, h, w, c)
    return torch.empty_like(images).copy_(moved.permute(0, 3, 1, 2))
