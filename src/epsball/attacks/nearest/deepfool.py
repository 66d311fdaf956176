"""DeepFool: straight to the nearest border, as the model's gradients draw it."""

import torch
from torch import Tensor

from epsball.attacks.core.asking import all_rows, read
from epsball.attacks.core.checks import check_call, takes_no_eps
from epsball.attacks.core.validated import validated
from epsball.attacks.nearest.border import LeadGoal, Plane, nearest_plane, pull_back
from epsball.attacks.nearest.hyperplane import dual_size, step_to_plane
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import per_row, steepest
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2")
_LEAST = 1e-4  # the least step, as in the authors' code: a tie of two scores must end, too


@validated
@takes_no_eps
def deepfool(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    norm: Norm = "linf",
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int = 10,
    shrink: int = 5,
    targets: Labels | None = None,
    generator: Randomness = None,  # noqa: ARG001 - of the house signature; nothing here is random
) -> Images:
    """Walk every image to the nearest border that its gradients show, until it is crossed.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        norm: "linf" or "l2"; what is made small.
        steps: walked at most; an image that fools the model walks no further.
        overshoot: how much longer a step is than the way to the border, as a share of it.
        candidates: classes beside the label whose borders are considered, those of the highest
            scores at the point; a step costs one backward pass for each.
        shrink: points tried on the straight line back to the clean image, one forward pass each.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: not used; the walk is not random.

    Returns:
        (n, c, h, w) in [0, 1]: an image that fools the model, near its clean one; the clean one
        where it fools the model itself, and where none was found.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([0.75, 0.25]).view(1, 1, 1, 2), torch.tensor([0])
        >>> deepfool(torch.nn.Flatten(), x, y).flatten()
        tensor([0.4999, 0.5001])

    Source: Moosavi-Dezfooli et al. 2016, arXiv:1511.04599, algorithm 2 and section 3.3 (linf).
    Departures: points are clipped to [0, 1]; what clipping takes may leave too little of a step, so
    that in the second half of the steps they are the shortest within [0, 1] (from the start they
    would be longer, and find more distant borders); a border is one with the label or with a reject
    class, whichever score is higher; candidates are chosen anew at every point; targets are served
    (the border is then one with the best other class); the result is drawn back towards the clean
    image.
    """
    check_call("deepfool", inputs, labels, targets, eps=None, norm=norm, norms=NORMS, steps=steps)
    _check_knobs(overshoot, candidates, shrink)
    goal, clean = LeadGoal(model, labels, targets), inputs.detach()
    point, done = clean.clone(), torch.zeros_like(labels, dtype=torch.bool)
    rows = all_rows(clean)
    for number in range(steps):
        # asked first: a forward pass is cheap beside the gradients of all candidates
        success = goal.rows(rows).success(read(model, point[rows], rows))
        done[rows[success]] = True
        rows = rows[~success]
        if not len(rows):
            break
        plane, _ = nearest_plane(
            model, point[rows], rows, goal.rows(rows), norm=norm, candidates=candidates
        )
        # without a slope there is nowhere to go, in this step or any later one
        going = plane.slope.flatten(1).any(1).nonzero()[:, 0]
        rows = rows[going]
        if not len(rows):
            break
        step = _free_step if number < steps // 2 else _boxed_step
        way = step(point[rows], plane.rows(going), norm)
        point[rows] = (point[rows] + (1 + overshoot) * way).clamp(0, 1)
    else:
        done[rows] = goal.rows(rows).success(read(model, point[rows], rows))
    point = torch.where(per_row(done, point), point, clean)
    rows = (point != clean).flatten(1).any(1).nonzero()[:, 0]
    point[rows] = pull_back(model, clean[rows], point[rows], rows, goal.rows(rows), steps=shrink)
    return point


def _free_step(point: Tensor, plane: Plane, norm: Norm) -> Tensor:
    """Return the shortest step to the plane, though it may lead out of [0, 1]."""
    far = -plane.gap / dual_size(plane.slope, norm) + _LEAST
    return per_row(far, point) * steepest(plane.slope, norm)


def _boxed_step(point: Tensor, plane: Plane, norm: Norm) -> Tensor:
    """Return the shortest step to the plane within [0, 1]."""
    rise = -plane.gap + _LEAST * dual_size(plane.slope, norm)
    return step_to_plane(point, plane.slope, rise, norm)


def _check_knobs(overshoot: float, candidates: int, shrink: int) -> None:
    rules = {"overshoot": (overshoot, 0), "candidates": (candidates, 1), "shrink": (shrink, 0)}
    for name, (value, least) in rules.items():
        if not least <= value < float("inf"):
            raise InvalidInput(f"deepfool: {name} must be a number >= {least}, got {value}")


SPEC = AttackSpec(
    deepfool,
    kind="minimal",
    norms=("linf", "l2"),
    source="Moosavi-Dezfooli et al. 2016, arXiv:1511.04599",
)
