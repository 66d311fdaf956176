"""Slopes guessed from pairs of queries, and walked along by Adam."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from epsball.attacks.black_box.sampling import pass_size, pieces, read_samples, repeated, streams_of
from epsball.attacks.core.ascent import BestSeen, confirmed
from epsball.attacks.core.asking import all_rows
from epsball.attacks.core.checks import check_call, of_images
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import project_into_box
from epsball.objectives import margin
from epsball.randomness import Randomness, random_signs
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2")
_SLOPES, _SQUARES = 0.9, 0.999  # how much Adam keeps of what it knew
_MOST = 128  # directions for one step; the source has as many
_LEAST = 2  # queries: one direction and no step


@validated
@of_images
def spsa(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    queries: int = 5000,
    samples: int | None = None,
    probe_size: float | None = None,
    step_size: float | None = None,
    targets: Labels | None = None,
    generator: Randomness = None,
) -> Images:
    """Climb the slope of a model that shows nothing but its scores, guessed by probing around.

    Args:
        model: maps (n, c, h, w) in [0, 1] to scores (n, k); needs no gradient.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2".
        queries: images the model may be shown for each image, at least 1, the clean one
            included. A fooled image is asked about no more.
        samples: directions that are probed for one step; each costs two queries, and each step
            one more. None: half the root of the budget, 128 at most.
        probe_size: how far a probe goes in each pixel, input units; None: half of eps in linf, and
            in l2 what makes a probe half of eps long.
        step_size: length of a step in norm, input units; None: steps begin with eps and
            shrink to nothing.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of the directions; torch's global one when None.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; for each row, of the points seen, probes
        included, the one that ranks highest by (fooled, margin).

    Raises:
        InvalidInput: an argument breaks its rule.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> spsa(torch.nn.Flatten(), x, y, eps=0.125, queries=50).flatten()
        tensor([0.4375, 0.5625])

    Source: Uesato et al. 2018, arXiv:1802.05666, algorithm 1 and section 4.2. Departures: probes
    stay in ball and box, and slopes are told by how far apart they really are; the best point
    seen is returned, probes included; Adam has no epsilon, so that the scale of the scores does
    not matter; steps shrink, and directions and sizes follow budget and eps (source: 128 or more,
    probes and steps of 0.01).
    """
    check_call(
        "spsa",
        inputs,
        labels,
        targets,
        eps=eps,
        norm=norm,
        norms=NORMS,
        step_size=step_size,
        queries=queries,
    )
    _check_probes(samples, probe_size)
    clean = inputs.detach()
    # how long a move by 1 in every pixel is
    spread = math.sqrt(clean.shape[1:].numel()) if norm == "l2" else 1.0
    probe = eps / 2 / spread if probe_size is None else probe_size
    plan = _plan(queries, samples or max(1, min(_MOST, round(math.sqrt(queries) / 2))))
    goal, nothing = Mislead(model, margin, labels, targets), torch.zeros_like(clean)
    walk = _Walk(all_rows(clean), clean, clean, nothing, nothing, goal, generator)
    prober = _Prober(model, BestSeen(clean), pass_size(clean), eps, norm)
    with torch.no_grad():
        walk = prober.visit(walk, clean)
        for number, pairs in enumerate(plan):
            slope, success = prober.slope(walk, pairs, probe)
            walk = walk.learn(slope).of(~success)
            length = eps * (1 - number / len(plan)) if step_size is None else step_size
            walk = prober.visit(walk, walk.point + length / spread * walk.direction(number + 1))
    return prober.best.points


def _check_probes(samples: int | None, probe_size: float | None) -> None:
    if samples is not None and samples < 1:
        raise InvalidInput(f"spsa: samples must be >= 1, got {samples}")
    if probe_size is not None and not probe_size > 0:
        raise InvalidInput(f"spsa: probe_size must be > 0, got {probe_size}")


def _plan(queries: int, samples: int) -> list[int]:
    """Return the number of probed directions of each step, the last one's cut to the budget."""
    left, plan = queries - 1, []  # the clean image takes one
    while left > _LEAST:
        plan.append(min(samples, (left - 1) // 2))
        left -= 2 * plan[-1] + 1
    return plan


@dataclass(frozen=True)
class _Walk:
    """Where every image stands that is still asked about."""

    rows: Tensor  # (m,), their places in the batch
    clean: Tensor  # (m, c, h, w)
    point: Tensor  # (m, c, h, w)
    mean: Tensor  # (m, c, h, w), of the slopes so far, the latest counting most
    square: Tensor  # (m, c, h, w), of their squares
    goal: Mislead
    streams: Randomness

    def of(self, going: Tensor) -> "_Walk":
        """Return the walk of the images for which going, (m,) bool, is true."""
        if bool(going.all()):
            return self
        chosen = going.nonzero()[:, 0]
        return _Walk(
            self.rows[chosen],
            self.clean[chosen],
            self.point[chosen],
            self.mean[chosen],
            self.square[chosen],
            self.goal.rows(chosen),
            streams_of(self.streams, chosen),
        )

    def learn(self, slope: Tensor) -> "_Walk":
        """Return the walk after another slope was seen."""
        mean = self.mean.lerp(slope, 1 - _SLOPES)
        return replace(self, mean=mean, square=self.square.lerp(slope**2, 1 - _SQUARES))

    def direction(self, seen: int) -> Tensor:
        """Return Adam's step of about 1 in every pixel, after a number of slopes."""
        mean, square = self.mean / (1 - _SLOPES**seen), self.square / (1 - _SQUARES**seen)
        return mean / square.sqrt().clamp_min(torch.finfo(mean.dtype).tiny)


@dataclass(frozen=True)
class _Prober:
    """Asks the model about points of the ball, and remembers the best."""

    model: Classifier
    best: BestSeen
    at_once: int
    eps: float
    norm: Norm

    def visit(self, walk: _Walk, points: Tensor) -> _Walk:
        """Go to points, (m, c, h, w); return the walk of those that are no success there."""
        if not len(walk.rows):
            return walk
        walk = replace(walk, point=project_into_box(points, walk.clean, self.eps, self.norm))
        return walk.of(~self._ask(walk, walk.point[:, None])[1])

    def slope(self, walk: _Walk, pairs: int, probe: float) -> tuple[Tensor, Tensor]:
        """Guess the slope of the goal at every point.

        Args:
            walk: where the points are.
            pairs: random directions, each probed both ways.
            probe: how far, in each pixel.

        Returns:
            (m, c, h, w), the slope; (m,) bool, which rows have a probe that is a success.
        """
        above, below = torch.zeros_like(walk.point), torch.zeros_like(walk.point)
        success = torch.zeros_like(walk.rows, dtype=torch.bool)
        for piece in pieces(pairs, walk.point) if len(walk.rows) else ():
            count = piece.stop - piece.start
            here = repeated(walk.point, count)
            away = probe * random_signs(here, walk.streams)
            probes = self._inside(walk, torch.cat((here + away, here - away), 1))
            value, success_of_probes = self._ask(walk, probes)
            rise = (value[:, :count] - value[:, count:]).nan_to_num(0, 0, 0)
            # at a border of ball or box a pair lies closer together than `samples` asks
            apart = probes[:, :count] - probes[:, count:]
            above += (rise[:, :, None, None, None] * apart).sum(1)
            below += apart.square().sum(1)
            success |= success_of_probes
        return above / below.clamp_min(torch.finfo(below.dtype).tiny), success

    def _inside(self, walk: _Walk, points: Tensor) -> Tensor:
        around = repeated(walk.clean, points.shape[1]).flatten(0, 1)
        inside = project_into_box(points.flatten(0, 1), around, self.eps, self.norm)
        return inside.view_as(points)

    def _ask(self, walk: _Walk, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values (m, s) of points (m, s, c, h, w), and the rows (m,) with a success."""
        count = points.shape[1]
        goal = walk.goal.rows(all_rows(points).repeat_interleave(count))
        logits = read_samples(self.model, points, walk.rows, self.at_once)
        value = goal.value(logits).to(points).nan_to_num(-torch.inf).view(-1, count)
        success = goal.success(logits).view(-1, count)
        clear_success = confirmed(None, goal, points.flatten(0, 1), logits, walk.rows)
        # of the points of a row, the highest; of the successes, if there are any
        top = value.masked_fill(~success & success.any(1, keepdim=True), -torch.inf).argmax(1)
        each = all_rows(points)
        self.best.update(points[each, top], value[each, top], success[each, top], walk.rows)
        return value, clear_success.view(-1, count).any(1)


SPEC = AttackSpec(
    spsa,
    kind="query",
    norms=("linf", "l2"),
    source="Uesato et al. 2018, arXiv:1802.05666",
    needs_gradient=False,
    random=True,
    keeps="success",
)
