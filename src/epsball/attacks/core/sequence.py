"""Several attacks in sequence, each on the images that the earlier ones did not fool."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from epsball.attacks.core.asking import Part, all_rows, read, search_part
from epsball.attacks.gradient.pgd import Mislead
from epsball.geometry import project_into_box, size
from epsball.objectives import margin, spread
from epsball.randomness import Randomness, another_run
from epsball.tensors import Classifier, Images
from epsball.types import Norm, Search

_ROUNDING = 1e-6


@dataclass
class AttackSequence:
    """Images under several attacks in turn: the best result of each, and which are not fooled.

    Args:
        model: the classifier.
        inputs: (n, c, h, w), clean.
        labels: (n,).
        eps: radius of the ball that counts, for attacks that take none as well.
        norm: its geometry.
        targets: (n,), or None.
        generator: see `pgd`; every attack draws from streams of its own.
        search: what may be saved; a sequence retires fooled images in any case.
        fooled: (n,), bool; the images that some attack has fooled, or that were wrong when clean.
        best: (n, c, h, w), for each row a fooled image, or the one nearest to being fooled.
        value: (n,), the margin of best.
        gap: (n,), how far the label leads at best, in spreads of the scores; below zero if fooled.
    """

    model: Classifier
    inputs: Images
    labels: Tensor
    eps: float
    norm: Norm
    targets: Tensor | None
    generator: Randomness
    search: Search
    fooled: Tensor = field(init=False)
    best: Tensor = field(init=False)
    value: Tensor = field(init=False)
    gap: Tensor = field(init=False)
    _runs: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Begin with the clean images; what is fooled already is not attacked."""
        self.inputs = self.inputs.detach()
        self.best, rows = self.inputs.clone(), all_rows(self.inputs)
        logits = read(self._exact(), self.inputs, rows, self.search.micro_batch)
        goal = Mislead(self.model, margin, self.labels, self.targets)
        self.value, self.fooled = goal.value(logits), goal.success(logits)
        self.gap = -self.value / spread(logits)

    @property
    def remaining(self) -> Tensor:
        """Return (m,), the rows that no attack has fooled yet."""
        return (~self.fooled).nonzero()[:, 0]

    def run(
        self,
        attack: Callable[..., Images],
        rows: Tensor | None = None,
        **settings: Any,  # noqa: ANN401  # the attack's own
    ) -> None:
        """Attack images.

        Args:
            attack: a function with the house signature; one without eps returns the nearest
                image it finds, which counts where it lies within the ball.
            rows: (m,), which of those that are left; None: all of them.
            **settings: of its own.
        """
        self._runs += 1  # also where no row is left: what an image draws depends on no other one
        rows = self.remaining if rows is None else rows
        if not len(rows):
            return
        shared = {"eps": self.eps, "norm": self.norm, "search": self._search_of(rows)}
        takes = inspect.signature(attack).parameters
        points = attack(
            Part(self.model, rows),
            self.inputs[rows],
            self.labels[rows],
            targets=None if self.targets is None else self.targets[rows],
            generator=another_run(self.generator, self._runs, rows),
            **settings,
            **{name: value for name, value in shared.items() if name in takes},
        )
        self.judge(points, rows)

    def judge(self, points: Tensor, rows: Tensor) -> None:
        """Take over the points that rank above the best of their rows so far."""
        far = size((points - self.inputs[rows]).double(), self.norm) > self.eps * (1 + _ROUNDING)
        if bool(far.any()):  # of an attack without eps: what lies outside may still do, pulled in
            inside = project_into_box(points, self.inputs[rows], self.eps, self.norm)
            points = torch.where(far.view(-1, 1, 1, 1), inside, points)
        logits = read(self._exact(), points, rows, self.search.micro_batch)
        goal = Mislead(self.model, margin, self.labels, self.targets).rows(rows)
        value, success = goal.value(logits), goal.success(logits)
        better = success | (value > self.value[rows])
        improved = rows[better]
        self.best[improved] = points[better].detach()
        self.value[improved] = value[better].to(self.value)
        self.gap[improved] = (-value / spread(logits))[better].to(self.gap)
        self.fooled[improved] |= success[better]

    def _search_of(self, rows: Tensor) -> Search:
        return search_part(replace(self.search, retire=True), rows) or Search()

    def _exact(self) -> Classifier:
        return self.search.confirm or self.model
