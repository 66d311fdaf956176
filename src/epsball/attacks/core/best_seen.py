"""The best point so far of every image under attack."""

from collections.abc import Callable

import torch
from torch import Tensor


class BestSeen:
    """For each row of a batch, the highest-ranking point so far, by (won, value)."""

    def __init__(self, points: Tensor) -> None:
        """Start with points of no rank at all."""
        self.points = points.detach().clone()
        self.won = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        self.value = points.new_full((len(points),), -torch.inf)

    def update(
        self,
        points: Tensor,
        value: Tensor,
        won: Tensor,
        rows: Tensor,
        inside: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """Take the points that rank above what is held for their rows.

        Args:
            points: (m, c, h, w).
            value: (m,).
            won: (m,), bool.
            rows: (m,), which rows of the batch they belong to, each at most once.
            inside: see `ascend`.
        """
        held_won, value = self.won[rows], value.detach().to(self.value)
        better = (won & ~held_won) | ((won == held_won) & (value > self.value[rows]))
        if inside is not None:
            better &= inside(points, rows)
        taken = rows[better]
        self.points[taken] = points.detach()[better]
        self.value[taken] = value[better]
        self.won[taken] |= won[better]
