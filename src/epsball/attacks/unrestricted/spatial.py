"""Rotations and shifts: images that a person reads as easily as before."""

import itertools
import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from epsball.attacks.core.checks import check_call, of_images
from epsball.attacks.core.validated import validated
from epsball.attacks.core.worst_of import worst_of
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.randomness import Randomness, uniform
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Search


@validated
@of_images
def spatial(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    degrees: float = 30.0,
    shift: float = 0.1,
    angles: int = 31,
    shifts: int = 5,
    draws: int | None = None,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Turn and shift each image as far as allowed, and keep the view that fools the model most.

    Args:
        model: maps (n, c, h, w) in [0, 1] to scores (n, k); only its answers are used.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        degrees: largest rotation about the centre, to either side; 0 to 180.
        shift: largest shift along each side, as a fraction of that side's length; 0 to 1. The
            default is 3 pixels of 32, and 22 of 224.
        angles: how many rotations are tried, evenly from -degrees to degrees.
        shifts: how many shifts are tried along each side, evenly from -shift to shift.
        draws: None: every combination of the grid, angles * shifts**2 views; a number: so many
            random views instead, uniform within the same limits.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of random views; torch's global one when None.
        search: what may be saved; with `retire`, an image that is fooled is shown no further view.

    Returns:
        (n, c, h, w) in [0, 1]; pixels from outside the image are black. Of the clean image and
        its views, the one that ranks highest by (success, margin).

    Raises:
        InvalidInput: an argument breaks its rule.

    Example:
        >>> left_and_right = lambda x: x.sum((1, 2))
        >>> x, y = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([0])
        >>> spatial(left_and_right, x, y, degrees=0, shift=0.5, shifts=3).flatten()
        tensor([0., 1.])

    Source: Engstrom et al. 2019, arXiv:1712.02779, section 3: 31 rotations of up to 30 degrees, 5
    shifts of up to a tenth of the side each way (grid), or the worst of 10 random views.
    Departures: shifts need not be whole pixels (read linearly between pixels, as rotations are);
    the clean image is a candidate, so that the grid may be even.
    """
    check_call("spatial", inputs, labels, targets, eps=None, norm=None, norms=())
    _check_limits(degrees, shift, angles, shifts, draws)
    clean = inputs.detach()
    limits = (math.radians(degrees), shift, shift)
    poses = (
        _grid(clean, limits, (angles, shifts, shifts))
        if draws is None
        else _draws(clean, limits, draws, generator)
    )

    def seen(pose: Tensor, rows: Tensor) -> Tensor:
        return view(clean[rows], pose[rows])

    unmoved = clean.new_zeros((len(clean), 3))
    candidates = (partial(seen, pose) for pose in (unmoved, *poses))
    return worst_of(model, clean, labels, targets, candidates, search=search)


def _grid(inputs: Tensor, limits: tuple[float, ...], counts: tuple[int, ...]) -> Iterator[Tensor]:
    """Give rotation, shift down and shift right, the same for all images: (n, 3) each."""
    ticks = [
        torch.linspace(-limit, limit, count).tolist() if limit > 0 and count > 1 else [0.0]
        for limit, count in zip(limits, counts, strict=True)
    ]
    for pose in itertools.product(*ticks):
        if any(pose):
            yield inputs.new_tensor(pose).expand(len(inputs), 3)


def _draws(
    inputs: Tensor, limits: tuple[float, ...], count: int, generator: Randomness
) -> tuple[Tensor, ...]:
    # drawn at once, so that an image that leaves early changes nothing for the others
    sample = uniform(inputs.new_empty((len(inputs), count, 3)), generator)
    return ((2 * sample - 1) * inputs.new_tensor(limits)).unbind(1)


def view(inputs: Tensor, pose: Tensor) -> Tensor:
    """Turn each image about its centre, then shift it.

    Args:
        inputs: (n, c, h, w), in [0, 1].
        pose: (n, 3); counter-clockwise rotation in radians, shift down and shift right as fractions
            of the side.

    Returns:
        (n, c, h, w), in [0, 1], black where nothing was; exactly inputs where the pose is 0.
    """
    h, w = inputs.shape[2:]
    turn, down, right = pose.to(inputs).unbind(1)
    cos, sin = turn.cos(), turn.sin()
    # grid_sample asks where each pixel comes from, in half sides from the centre
    back = torch.stack((cos, -sin * h / w, sin * w / h, cos), 1).view(-1, 2, 2)
    offset = back @ torch.stack((-2 * right, -2 * down), 1)[:, :, None]
    grid = functional.affine_grid(
        torch.cat((back, offset), 2), list(inputs.shape), align_corners=False
    )
    moved = functional.grid_sample(inputs, grid, align_corners=False).clamp(0, 1)
    still = (pose == 0).all(1)[:, None, None, None]
    return torch.where(still, inputs, moved)


def _check_limits(
    degrees: float, shift: float, angles: int, shifts: int, draws: int | None
) -> None:
    for name, value, most in (("degrees", degrees, 180), ("shift", shift, 1)):
        if not 0 <= value <= most:
            raise InvalidInput(f"spatial: {name} must be from 0 to {most}, got {value}")
    for name, count in (("angles", angles), ("shifts", shifts), ("draws", draws)):
        if count is not None and count < 1:
            raise InvalidInput(f"spatial: {name} must be >= 1, got {count}")


SPEC = AttackSpec(
    spatial,
    kind="other",
    norms=(),
    source="Engstrom et al. 2019, arXiv:1712.02779",
    needs_gradient=False,
    keeps="success",
)
