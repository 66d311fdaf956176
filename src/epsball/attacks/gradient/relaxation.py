"""Short walks towards one class at a time that may leave the ball a little and are called back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from epsball.attacks.core.ascent import Goal, Visit, judge, value_and_slope
from epsball.attacks.core.asking import all_rows, class_count, read
from epsball.attacks.core.best_seen import BestSeen
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.apgd_t import Towards
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import project_into_box, random_in_ball, steepest
from epsball.objectives import cross_entropy, lead_over, margin, spread
from epsball.randomness import Randomness, another_run
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Passes, Search

NORMS: tuple[Norm, ...] = ("linf", "l2")
CYCLE = 30  # steps
RELAXED = 10  # of these, the first ones: in a ball that is larger by one step
RECALLED = 20  # at this one: into a ball that is smaller by one step, and shaken
SHORTEST = 0.05  # step, as a share of eps
WARM = 10  # steps towards no class in particular
HOPELESS = 1.0  # lead of the label, in spreads of the scores over the step's share of eps, at which
# a walk is given up after two thirds of a cycle
NEAR = 0.05  # lead of the label, in spreads of the scores, below which a walk is repeated


@validated
def relaxation(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    classes: int = 3,
    cycles: int = 5,
    passes: int = 5,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Walk towards the likeliest wrong classes in cycles of a relaxed and a tightened ball.

    Ten steps up the loss come first. From where they end, the likeliest wrong classes are taken;
    each gets a walk of its own from a new random start, in cycles of 30 steps whose length halves
    from cycle to cycle. In the first ten steps of a cycle the ball is larger by one step and every
    point is also tried after projection; at the twentieth the point is pulled into a ball that is
    smaller by one step, and shaken. A walk that lies far behind after twenty steps is given up;
    only walks that came near the border are repeated.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2".
        classes: how many wrong classes are tried; all where there are fewer.
        cycles: of 30 steps each, for every class.
        passes: how often a walk that comes near the border is made at most.
        targets: (n,), int64; the only classes tried and the only success; None: any class.
        generator: source of the random starts; torch's global one when None.
        search: what may be saved; a fooled image is never attacked again.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; for each row the highest-ranking point that
        was tried, by (fooled, margin). No row depends on another.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 3), 0.5), torch.tensor([0])
        >>> flat(relaxation(flat, x, y, eps=0.125)).argmax(1) == 0
        tensor([False])

    Source: constraint relaxation attack, AAAI 2025. Departures: margins are compared in units of
    the spread of the scores and the first steps divide the scores by it, so that a model whose
    scores are scaled gets the same verdict; l2, with steps of one length; targets.
    """
    check_call("relaxation", inputs, labels, targets, eps=eps, norm=norm, norms=NORMS)
    for name, number in (("classes", classes), ("cycles", cycles), ("passes", passes)):
        if number < 1:
            raise InvalidInput(f"relaxation: {name} must be >= 1, got {number}")
    walks = _Walks(model, inputs.detach(), labels, eps, norm, targets, search or Search())
    towards = walks.warm_up(another_run(generator, 0, all_rows(inputs)), classes)
    near = torch.ones_like(towards, dtype=torch.bool)
    for run in range(passes * towards.shape[1]):
        column = run % towards.shape[1]
        rows = (~walks.best.success & near[:, column]).nonzero()[:, 0]
        if len(rows):
            random = another_run(generator, run + 1, rows)
            near[rows, column] = walks.walk(rows, towards[rows, column], cycles, random)
    return walks.best.points


@dataclass
class _Walks:
    """The walks of one call: what they have in common, and the best point of each image."""

    model: Classifier
    inputs: Tensor
    labels: Tensor
    eps: float
    norm: Norm
    targets: Tensor | None
    search: Search

    def __post_init__(self) -> None:
        self.best = BestSeen(self.inputs)

    def warm_up(self, random: Randomness, classes: int) -> Tensor:
        """Walk up the loss, and return the classes that are then the likeliest wrong ones.

        Returns:
            (n, classes), best first; the targets, where there are any.
        """
        rows = all_rows(self.inputs)
        goal = Mislead(self.model, scale_free_loss, self.labels, self.targets)
        point = self._start(rows, random)
        for number in range(WARM):
            visit, logits = self._look(point, rows, goal)
            rows, going = self._judge(visit.point, logits, rows, goal)
            goal, visit, logits = goal.rows(going), visit.rows(going), logits[going]
            if not len(rows):
                break
            length = self.eps / (2 if number < WARM // 2 else 4)
            point = self._moved(visit.point, visit.slope, length, rows, self.eps)
        else:
            logits = self._read(point, rows)
            self._judge(point, logits, rows, goal)
        if self.targets is not None:
            return self.targets[:, None]
        logits = logits[:, : class_count(self.model, logits)]
        others = logits.scatter(1, self.labels[rows][:, None], -torch.inf)
        likely = others.topk(min(classes, logits.shape[1] - 1), dim=1).indices
        # a fooled image is led nowhere: its row is never read
        return likely.new_zeros(len(self.inputs), likely.shape[1]).index_copy(0, rows, likely)

    def walk(self, rows: Tensor, towards: Tensor, cycles: int, random: Randomness) -> Tensor:
        """Walk towards a class from a new start, and say which walks came near the border.

        Args:
            rows: (m,), of the images.
            towards: (m,), a class for each.
            cycles: at most so many.
            random: of these rows.

        Returns:
            (m,), bool.
        """
        targets = None if self.targets is None else self.targets[rows]
        goal = Towards(self.model, self.labels[rows], towards, targets, lead_over)
        near = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        here, point = all_rows(rows), self._start(rows, random)
        shaken = random_in_ball(self.inputs[rows], 1.0, self.norm, random)
        for number, share in _steps(cycles):
            length = share * self.eps
            visit, logits = self._look(point, rows[here], goal)
            if number <= RELAXED:  # it may lie outside: what counts is where it is pulled to
                inside = self._pulled(visit.point, rows[here], self.eps)
                tried = self._read(inside, rows[here])
            else:
                inside, tried = visit.point, logits
            _, going = self._judge(inside, tried, rows[here], goal)
            gap = -goal.value(tried) / spread(tried)
            near[here] |= gap < NEAR
            if number == RECALLED - 1:
                going = going[gap[going] <= HOPELESS * share]
            if not len(going):
                break
            here, goal, visit = here[going], goal.rows(going), visit.rows(going)
            radius = self.eps + length if number < RELAXED else self.eps
            point = self._moved(visit.point, visit.slope, length, rows[here], radius)
            if number == RECALLED - 1:
                point = self._pulled(point, rows[here], self.eps - length)
                point = self._pulled(point + length * shaken[here], rows[here], self.eps)
        else:
            self._judge(point, self._read(point, rows[here]), rows[here], goal)
        return near

    def _start(self, rows: Tensor, random: Randomness) -> Tensor:
        inputs = self.inputs[rows]
        return (inputs + random_in_ball(inputs, self.eps, self.norm, random)).clamp(0, 1)

    def _look(self, point: Tensor, rows: Tensor, goal: Goal) -> tuple[Visit, Tensor]:
        return value_and_slope(self.model, point, rows, goal, micro_batch=self.search.micro_batch)

    def _read(self, points: Tensor, rows: Tensor) -> Tensor:
        return read(self.model, points, rows, self.search.micro_batch)

    def _moved(
        self, point: Tensor, slope: Tensor, length: float, rows: Tensor, radius: float
    ) -> Tensor:
        return self._pulled(point + length * steepest(slope, self.norm), rows, radius)

    def _pulled(self, points: Tensor, rows: Tensor, radius: float) -> Tensor:
        return project_into_box(points, self.inputs[rows], radius, self.norm)

    def _judge(
        self, points: Tensor, logits: Tensor, rows: Tensor, goal: Goal
    ) -> tuple[Tensor, Tensor]:
        """Keep the best points; return the rows that go on, and their places among the rows."""
        success, settled = judge(self.search, goal, points, logits, rows, exact=False)
        value = Mislead(self.model, margin, self.labels, self.targets).rows(rows).value(logits)
        self.best.update(points, value, success, rows)
        going = (~settled).nonzero()[:, 0]
        return rows[going], going


def _steps(cycles: int) -> Iterator[tuple[int, float]]:
    """Yield the number of each step within its cycle, and its length as a share of eps."""
    for cycle in range(cycles):
        share = max(0.5 ** (cycle + 1), SHORTEST)
        for number in range(CYCLE):
            yield number, share


def scale_free_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the cross-entropy (n,) of scores divided by their spread: no scale saturates it."""
    return cross_entropy(logits / spread(logits)[:, None], classes)


def _foretold(given: Mapping[str, Any]) -> Passes:
    """Count one pass of walks that are given up in their first cycle, as most that fail are."""
    gradients = WARM + given["classes"] * RECALLED
    return Passes(gradients + given["classes"] * RELAXED, gradients)


SPEC = AttackSpec(
    relaxation,
    kind="budget",
    norms=NORMS,
    source="constraint relaxation attack, AAAI 2025",
    random=True,
    keeps="success",
    foretold=_foretold,
)
