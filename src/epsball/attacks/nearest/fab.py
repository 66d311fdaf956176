"""FAB: along the border, drawn towards the clean image at every step."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from epsball.attacks.core.asking import all_rows, read
from epsball.attacks.core.checks import check_call, takes_no_eps
from epsball.attacks.core.validated import validated
from epsball.attacks.nearest.border import LeadGoal, Plane, nearest_plane, pull_back
from epsball.attacks.nearest.hyperplane import dual_size, step_to_plane
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import per_row, size
from epsball.randomness import Randomness, normal, uniform
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")
# half of the radii at which the authors' code starts later restarts
START_RADIUS: dict[Norm, float] = {"linf": 0.15, "l2": 0.5, "l1": 2.5}
_LEAST = 1e-6  # the least step: a tie of two scores must not hold the walk


@validated
@takes_no_eps
def fab(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    norm: Norm = "linf",
    steps: int = 100,
    alpha_max: float = 0.1,
    eta: float = 1.05,
    beta: float = 0.9,
    candidates: int = 10,
    shrink: int = 5,
    random_start: bool = False,
    start_radius: float | None = None,
    targets: Labels | None = None,
    generator: Randomness = None,
) -> Images:
    """Walk every image along the model's border to where it comes nearest to the clean one.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        norm: "linf", "l2" or "l1"; what is made small.
        steps: of the walk, two forward passes each.
        alpha_max: the most that the clean image draws a step towards itself, in [0, 1].
        eta: length of a step as a multiple of the way to the border, at least 1.
        beta: what is left of a perturbation, in (0, 1), after it fooled the model.
        candidates: classes beside the label whose borders are considered, those of the highest
            scores at the point; a step costs one backward pass for each.
        shrink: points tried at last on the straight line back to the clean image, one forward
            pass each.
        random_start: begin at random around the image, for a restart, instead of at the image.
        start_radius: how far a random start lies away in norm, before it is clipped to [0, 1].
            None: 0.15 in linf, 0.5 in l2, 2.5 in l1.
        targets: (n,), int64; the classes to reach (FAB-T), one backward pass a step; None: any
            class but the label.
        generator: source of the random start; torch's global one when None.

    Returns:
        (n, c, h, w) in [0, 1]: the nearest image seen that fools the model; the clean one where
        it fools the model itself, and where none was found.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is none of linf, l2 and l1.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([0.75, 0.25]).view(1, 1, 1, 2), torch.tensor([0])
        >>> fab(torch.nn.Flatten(), x, y, steps=10).flatten()
        tensor([0.4999, 0.5001])

    Source: Croce and Hein 2020, arXiv:1907.02044, algorithm 1. Departures: restarts are made
    outside, so a random start cannot know what was found before and has a radius of its own; where
    there are many classes only the likeliest are linearised; a border is one with the label or with
    a reject class, whichever score is higher; with targets it is one with the best other class,
    only the target is success, and the clean image draws only after that was reached once; points
    that still win after they were drawn back count; the result is drawn back once more (`shrink`).
    """
    check_call("fab", inputs, labels, targets, eps=None, norm=norm, norms=NORMS, steps=steps)
    radius = START_RADIUS[norm] if start_radius is None else start_radius
    _check_knobs(
        alpha_max=(alpha_max, 0, 1),
        eta=(eta, 1, math.inf),
        beta=(beta, 0, 1),
        candidates=(candidates, 1, math.inf),
        shrink=(shrink, 0, math.inf),
        start_radius=(radius, 0, math.inf),
    )
    clean, goal = inputs.detach().clone(), LeadGoal(model, labels, targets)
    start = _random_start(clean, radius, norm, generator) if random_start else clean
    rows = (~goal.success(read(model, clean, all_rows(clean)))).nonzero()[:, 0]
    walk = _Walk(model, clean[rows], rows, goal.rows(rows), norm, alpha_max, eta, beta, candidates)
    clean[rows] = walk.nearest(start[rows], steps, shrink)
    return clean


@dataclass(frozen=True)
class _Walk:
    """The walk of the rows of a batch that are not fooled when clean; knobs as of `fab`."""

    model: Classifier
    origin: Tensor  # (m, c, h, w)
    rows: Tensor
    goal: LeadGoal
    norm: Norm
    alpha_max: float
    eta: float
    beta: float
    candidates: int

    def nearest(self, start: Tensor, steps: int, shrink: int) -> Tensor:
        """Return the nearest points that win, (m, c, h, w), or origin where none did."""
        point, best = start, _Nearest(self.origin, self.norm)
        for _ in range(steps if len(start) else 0):
            plane, logits = nearest_plane(
                self.model, point, self.rows, self.goal, norm=self.norm, candidates=self.candidates
            )
            best.update(point, self.goal.success(logits))
            point = self.step(point, plane, best.found())
            success = self.goal.success(read(self.model, point, self.rows))
            best.update(point, success)
            back = self.origin + self.beta * (point - self.origin)
            point = torch.where(per_row(success, point), back, point)
        points, at = best.points, best.found().nonzero()[:, 0]
        origin, goal = self.origin[at], self.goal.rows(at)
        points[at] = pull_back(self.model, origin, points[at], self.rows[at], goal, steps=shrink)
        return points

    def step(self, point: Tensor, plane: Plane, has_success: Tensor) -> Tensor:
        """Cross the plane between the ways to it from point and from origin."""
        least = _LEAST * dual_size(plane.slope, self.norm)
        rise = torch.where(plane.gap > 0, -plane.gap, torch.maximum(-plane.gap, least))
        rise_home = rise + (plane.slope * (point - self.origin)).flatten(1).sum(1)
        ways = step_to_plane(
            torch.cat((point, self.origin)),
            torch.cat((plane.slope, plane.slope)),
            torch.cat((rise, rise_home)),
            self.norm,
        )
        here, home = ways.chunk(2)
        far, far_home = size(ways, self.norm).clamp_min(1e-8).chunk(2)
        alpha = (far / (far + far_home)).clamp_max(self.alpha_max)
        if self.goal.targets is not None:
            # a target lies behind several planes: drawn home, a walk would never be behind them all
            alpha = alpha * has_success
        alpha = per_row(alpha, point)
        there = (1 - alpha) * (point + self.eta * here) + alpha * (self.origin + self.eta * home)
        return there.clamp(0, 1)


class _Nearest:
    """For each row, the nearest point so far that wins."""

    def __init__(self, origin: Tensor, norm: Norm) -> None:
        """Start with the clean images, infinitely far."""
        self.origin, self.norm = origin, norm
        self.points = origin.clone()
        self.distance = origin.new_full((len(origin),), torch.inf)

    def update(self, points: Tensor, success: Tensor) -> None:
        """Take the points that win and are nearer than what is held."""
        length = size(points - self.origin, self.norm)
        nearer = success & (length < self.distance)
        self.points = torch.where(per_row(nearer, points), points, self.points)
        self.distance = torch.where(nearer, length, self.distance)

    def found(self) -> Tensor:
        """Return (n,), bool: where a point that wins is held."""
        return self.distance.isfinite()


def _random_start(clean: Tensor, radius: float, norm: Norm, generator: Randomness) -> Tensor:
    """Return points at radius from clean, cut to the box."""
    sample = 2 * uniform(clean, generator) - 1 if norm == "linf" else normal(clean, generator)
    length = size(sample, norm).clamp_min(torch.finfo(clean.dtype).tiny)
    return (clean + radius * sample / per_row(length, sample)).clamp(0, 1)


def _check_knobs(**rules: tuple[float, float, float]) -> None:
    for name, (value, least, most) in rules.items():
        if not least <= value <= most or math.isinf(value):
            raise InvalidInput(f"fab: {name} must be a number in [{least}, {most}], got {value}")


SPEC = AttackSpec(
    fab,
    kind="minimal",
    norms=("linf", "l2", "l1"),
    source="Croce and Hein 2020, arXiv:1907.02044",
)
