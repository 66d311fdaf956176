"""Whether an adversarial image stays adversarial when it is saved in 8 bits."""

import torch
from torch import Tensor

from epsball.image_codec import ByteImages

# float32 sums miss an exact level by some 1e-5 levels: 8/255 * 255 may read 7.99998
_SLACK = 1e-3


def to_8bit(adversarial: Tensor, clean: Tensor) -> ByteImages:
    """Round to 8 bits, towards the clean image, so that the eps-ball still holds.

    Args:
        adversarial: (n, c, h, w), float in [0, 1].
        clean: (n, c, h, w), float in [0, 1].

    Returns:
        (n, c, h, w), uint8. No pixel lies farther from a clean pixel of 8 bits than it did. Where
        the clean pixel is not on the grid and no level lies between, the clean pixel's nearest.

    Example:
        >>> clean, moved = torch.full((1, 1, 1, 1), 100 / 255), torch.full((1, 1, 1, 1), 0.4117)
        >>> int(to_8bit(moved, clean)[0, 0, 0, 0])  # 104.98 levels, rounded towards 100
        104
    """
    levels, origin = adversarial.double() * 255, clean.double() * 255
    rising = levels > origin
    inward = torch.where(rising, (levels + _SLACK).floor(), (levels - _SLACK).ceil())
    # off the grid, a move of less than a level may have no level between its ends
    overshot = torch.where(rising, inward < origin - _SLACK, inward > origin + _SLACK)
    rounded = torch.where(overshot | (levels == origin), origin.round(), inward)
    return rounded.clamp(0, 255).to(torch.uint8).numpy()
