"""What an attack has reached when a time budget ends it early."""

import torch
from torch import Tensor

from epsball.evaluation.engine.aiming import aims
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import per_row, size
from epsball.objectives import is_adversarial

_ROUNDING = 1e-6  # of the radius


class Kept:
    """Keeps the nearest adversarial point of every image among those that an attack scores.

    It is called after every forward pass (`OnScores`), and keeps points of the unit box only.

    Args:
        engine: knows the classes and the device.
        setting: the attack; one without a norm keeps nothing, its points have no radius.
        batch: the clean images.
    """

    def __init__(self, engine: Engine, setting: AttackSetting, batch: Examples) -> None:
        """Begin with the clean images, which are adversarial at no radius."""
        device = engine.config.device
        self.norm, self.classes = setting.norm, engine.info.classes
        self.clean, self.labels = batch.images.to(device), batch.labels.to(device)
        targets = aims(engine, setting, batch)
        self.targets = None if targets is None else targets.to(device)
        self.nearest = self.clean.clone()
        self.sizes = torch.full((len(batch),), torch.inf, dtype=torch.float64, device=device)

    def __call__(self, inputs: Tensor, rows: Tensor, scores: Tensor) -> None:
        """Keep what is adversarial and nearer than before.

        Args:
            inputs: (m, c, h, w), the points that were scored.
            rows: (m,), their rows in the batch.
            scores: (m, k).
        """
        if self.norm == "none" or inputs.shape[1:] != self.clean.shape[1:]:
            return
        targets = None if self.targets is None else self.targets[rows]
        wins = is_adversarial(scores, self.labels[rows], targets, classes=self.classes)
        if not bool(wins.any()):
            return
        points, where = inputs[wins].to(self.clean.dtype), rows[wins]
        sizes = size((points - self.clean[where]).double(), self.norm)
        inside = (points.flatten(1).amin(1) >= 0) & (points.flatten(1).amax(1) <= 1)
        sizes = torch.where(inside, sizes, torch.inf)
        before = self.sizes.clone()
        self.sizes.scatter_reduce_(0, where, sizes, "amin")
        better = (sizes == self.sizes[where]) & (sizes < before[where])
        self.nearest[where[better]] = points[better]

    def within(self, eps: float) -> Tensor:
        """Return the points within a radius, (n, c, h, w); where there is none, the clean image."""
        inside = self.sizes <= eps * (1 + _ROUNDING)
        return torch.where(per_row(inside, self.clean), self.nearest, self.clean)
