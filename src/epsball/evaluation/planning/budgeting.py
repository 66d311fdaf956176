"""How a time budget is divided: how many images, in which shards, and until when."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from epsball.evaluation.settings import AttackSetting

# shares of the budget: all attacks end by the second, all checks of the results by the third
_BEFORE, _ATTACKING, _CHECKING = 0.15, 0.8, 0.95
_LEAST = 0.5  # of the budget goes to attacks, whatever came before took
_CHECKED = 0.05  # is left for the checks, however late they begin
_TOLERANCE = 0.15  # by which the end of everything may lie behind that of the budget
_LEAST_LATE = 0.2  # where what came before has used it up
_FIRST = 0.1  # of the budget for the first shard, if every image took all that an attack may spend
_FIRST_MOST = 16  # images: a confirmation by the model itself may cost far more than the search
_EARLY = 25  # an image is fooled after so small a part of the whole attack, at best
_EASY = 20  # gradients, at most, that such an image costs, however long the attack may be
_READING = 0.1  # of the budget, to read images


@dataclass(frozen=True)
class Clock:
    """When the parts of a run with a time budget have to end, by `time.monotonic`.

    Args:
        started: when the run began.
        budget: seconds; None: no limit.
        drawing: seconds that the page is going to take, about.
    """

    started: float
    budget: float | None = None
    drawing: float = 0.0

    @property
    def before(self) -> float:
        """Return when checks before the attacks end, counted from now."""
        return math.inf if self.budget is None else time.monotonic() + _BEFORE * self.budget

    @property
    def attacks(self) -> float:
        """Return when attacks that begin now end.

        Half of the budget is theirs, however much came before, but not beyond its end as long as a
        fifth of it remains.
        """
        if self.budget is None:
            return math.inf
        now = time.monotonic()
        end = self._end(1 - _CHECKED)
        half = min(now + _LEAST * self.budget, end)
        usual = min(self.started + _ATTACKING * self.budget, end)
        return max(usual, half, now + _LEAST_LATE * self.budget)

    @property
    def checks(self) -> float:
        """Return when checks that begin now end."""
        if self.budget is None:
            return math.inf
        usual = min(self.started + _CHECKING * self.budget, self._end(1))
        return max(usual, time.monotonic() + _CHECKED * self.budget)

    def _end(self, share: float) -> float:
        """Return when all but the page has to be done, the tolerance included."""
        assert self.budget is not None  # noqa: S101 - the caller looked
        return self.started + (share + _TOLERANCE) * self.budget - self.drawing


def foretold(settings: Sequence[AttackSetting]) -> int:
    """Return the gradients that all attacks spend on an image that nothing fools, about."""
    return sum(setting.gradients for setting in settings)


def affordable(
    settings: Sequence[AttackSetting], rate: float, reading: float, budget: float
) -> int:
    """Return how many images may be reached, if most are fooled early.

    Args:
        settings: the attacks.
        rate: input gradients a second.
        reading: seconds to read an image.
        budget: seconds.
    """
    each = min(max(1.0, foretold(settings) / _EARLY), _EASY * len(settings))
    return max(1, min(int(budget * rate / each), int(_READING * budget / max(reading, 1e-7))))


def first_shard(
    settings: Sequence[AttackSetting],
    rate: float,
    budget: float,
    micro_batch: int,
    *,
    keeps: bool,
) -> int:
    """Return how many images come first, so that there is an answer early.

    Args:
        settings: the attacks.
        rate: input gradients a second.
        budget: seconds.
        micro_batch: images of a forward pass.
        keeps: whether images count that an attack had not finished when its time was over. An
            attack on its own is then begun on a whole batch, which takes hardly longer than one
            image: a looser answer for several images says more than an answer for one.
    """
    images = int(_FIRST * budget * rate / max(1, foretold(settings)))
    alone = len(settings) == 1 and settings[0].calls == 1
    return max(1, min(_FIRST_MOST if keeps and alone else images, micro_batch, _FIRST_MOST))
