"""Images to begin with, for attacks that need one that fools: clean ones of another class."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Starts:
    """Clean images, and what the model says of them.

    Args:
        images: (m, c, h, w), on the CPU.
        named: (m,), the class each is taken for; -1: rejected.
    """

    images: Tensor
    named: Tensor

    def of(self, images: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        """Choose a start for each image; which one hangs on the image alone, not on its batch.

        Args:
            images: (n, c, h, w).
            labels: (n,), the true classes.
            positions: (n,), positions in the data set.

        Returns:
            (n, c, h, w), an image that is taken for another class; where there is none, its own.
        """
        turn = (positions[:, None] + torch.arange(len(self.named))) % len(self.named)  # (n, m)
        named = self.named[turn]
        fools = (named >= 0) & (named != labels[:, None])
        chosen = turn.gather(1, fools.int().argmax(1, keepdim=True))[:, 0]
        return torch.where(fools.any(1)[:, None, None, None], self.images[chosen], images)
