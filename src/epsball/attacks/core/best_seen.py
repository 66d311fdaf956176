"""The best point so far of every image under attack."""

from collections.abc import Callable

import torch
from torch import Tensor


class BestSeen:
    """For each row of a batch, the highest-ranking point so far, by (success, value)."""

    def __init__(self, points: Tensor) -> None:
        """Start with points of no rank at all."""
        self.points = points.detach().clone()
        self.success = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        self.value = points.new_full((len(points),), -torch.inf)

    def update(
        self,
        points: Tensor,
        value: Tensor,
        success: Tensor,
        rows: Tensor,
        inside: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """Take the points that rank above the best of their rows.

        Args:
            points: (m, c, h, w).
            value: (m,).
            success: (m,), bool.
            rows: (m,), which rows of the batch they belong to, each at most once.
            inside: see `ascend`.
        """
        earlier, value = self.success[rows], value.detach().to(self.value)
        better = (success & ~earlier) | ((success == earlier) & (value > self.value[rows]))
        if inside is not None:
            better &= inside(points, rows)
        higher = rows[better]
        self.points[higher] = points.detach()[better]
        self.value[higher] = value[better]
        self.success[higher] |= success[better]
