"""Recording an attack's points: which images it fooled on its way, and whether its loss rose."""

import torch
from torch import Tensor

from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.engine.recorder import OnScores
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import size
from epsball.objectives import cross_entropy, is_adversarial
from epsball.rejecting import against_rejection

_CLEAR = 1e-4  # of the largest score: a smaller lead may be gone in a batch of another size
_ROUNDING = 1e-6


class Walk:
    """Records every point that an attack scores.

    Args:
        engine: the run's engine.
        setting: the attack, at one eps; a point outside its ball is no success.
        examples: the n images that are attacked.

    Attributes:
        passed: (n,) bool, whether the model itself is fooled by some point within the ball.
        claimed: (n,) bool, whether the surrogate is; False without one.
        start: (n,), the loss at the first point that was searched from; NaN where there is none.
        highest: (n,), the highest loss after it.
    """

    def __init__(self, engine: Engine, setting: AttackSetting, examples: Examples) -> None:
        """Start without points."""
        device, count = engine.config.device, len(examples)
        self.setting, self.classes = setting, engine.info.classes
        self.images, self.labels = examples.images.to(device), examples.labels.to(device)
        self.order = examples.positions.argsort()
        self.positions = examples.positions[self.order]
        takes_search = engine.config.full_budget or setting.spec.takes_search
        on_surrogate = engine.surrogate is not None and takes_search
        self.searched = "surrogate" if on_surrogate else "model"
        self.passed = torch.zeros(count, dtype=torch.bool, device=device)
        self.claimed = torch.zeros(count, dtype=torch.bool, device=device)
        self.start = torch.full((count,), torch.nan, device=device)
        self.highest = torch.full((count,), -torch.inf, device=device)

    def on_scores(self, batch: Examples, scorer: str) -> OnScores:
        """Return what records the points of a batch, scored by the "model" or the "surrogate"."""
        places = self.order[torch.searchsorted(self.positions, batch.positions)]
        places = places.to(self.images.device)

        def note(inputs: Tensor, rows: Tensor, scores: Tensor) -> None:
            chosen, logits = places[rows], scores.float()
            fooled = self._fooled(inputs, chosen, logits)
            (self.claimed if scorer == "surrogate" else self.passed)[chosen[fooled]] = True
            if scorer == self.searched:
                self._note_loss(chosen, logits)

        return note

    def _fooled(self, inputs: Tensor, chosen: Tensor, logits: Tensor) -> Tensor:
        """Say which points are adversarial by more than rounding, and within the ball."""
        fooled = is_adversarial(logits, self.labels[chosen], classes=self.classes)
        first, second = logits.topk(2, dim=1).values.unbind(1)
        fooled &= first - second > _CLEAR * logits.abs().amax(1)
        if self.setting.norm == "none":
            return fooled
        far = size((inputs - self.images[chosen]).double(), self.setting.norm)
        return fooled & (far <= self.setting.eps[0] * (1 + _ROUNDING) + _ROUNDING)

    def _note_loss(self, chosen: Tensor, logits: Tensor) -> None:
        labels = self.labels[chosen]
        loss = cross_entropy(against_rejection(logits, labels, self.classes), labels)
        loss = loss.to(self.start)
        later = ~self.start[chosen].isnan()
        self.highest.scatter_reduce_(0, chosen[later], loss[later], "amax")
        self.start[chosen[~later]] = loss[~later]
