"""Random squares of paint, kept where the model likes them less: strong without any gradient."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from epsball.attacks.black_box.sampling import streams_of
from epsball.attacks.black_box.square_moves import (
    first_stripes,
    first_tiles,
    next_paint,
    next_tiles,
)
from epsball.attacks.core.ascent import BestSeen, judge
from epsball.attacks.core.asking import all_rows, read
from epsball.attacks.core.checks import check_call, of_images
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import per_row
from epsball.objectives import cross_entropy, margin
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search

NORMS: tuple[Norm, ...] = ("linf", "l2")
# after how many of 10,000 proposals the area of a square is halved
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_OF = 10_000

# what is proposed first, and next: see `_square_moves`
_MOVES = {"linf": (first_stripes, next_paint), "l2": (first_tiles, next_tiles)}


@validated
@of_images
def square(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    queries: int = 5000,
    area: float = 0.8,
    rescale: bool = True,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Fool a model that shows nothing but its scores, by a random search over squares.

    Args:
        model: maps (n, c, h, w) in [0, 1] to scores (n, k); needs no gradient.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2".
        queries: images the model may be shown for each image, at least 1, the clean one and what
            is spent on confirmation included. A fooled image is asked about no more.
        area: share of the image that the first squares cover, in (0, 1]; it is halved nine times
            as the search goes on.
        rescale: halve it at the same shares of `queries`, whatever their number; False: after the
            numbers of proposals that suit a search of 10,000.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of the squares; torch's global one when None.
        search: how many images a forward pass, and what confirms a success; None: all, nothing.
            With a model to confirm, the last tenth of the queries is put to that model.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; for each row, of the points seen, the one
        that ranks highest by (fooled, objective).

    Raises:
        InvalidInput: an argument breaks its rule.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> square(torch.nn.Flatten(), x, y, eps=0.125, queries=20).flatten()
        tensor([0.3750, 0.6250])

    Source: Andriushchenko et al. 2020, arXiv:1912.00049, algorithms 1 to 3, in the form of
    AutoAttack's reference (Croce and Hein 2020, arXiv:2003.01690), which runs `rescale=False`:
    the margin is climbed, with targets minus the cross-entropy. Departures: every image draws
    squares of its own; squares reach the last row and column; in linf a square that would change
    nothing goes the other way; in l2 squares end with one pixel, not 3 x 3, tiles are centred on
    images that are not square, and of one pixel where there are fewer than 10; the clean
    image counts as a query, and comes back where nothing seen is worse for the model.
    """
    check_call("square", inputs, labels, targets, eps=eps, norm=norm, norms=NORMS, queries=queries)
    if not 0 < area <= 1:
        raise InvalidInput(f"square: area must be in (0, 1], got {area}")
    goal = Mislead(model, margin if targets is None else cross_entropy, labels, targets)
    first, following = _MOVES[norm]

    def propose(walk: _Walk, number: int) -> Tensor:
        if number == 0:
            return walk.clean
        if number == 1:
            return first(walk.clean, eps, walk.streams)
        share = area / 2 ** halvings(number - 2, queries if rescale else _OF)
        return following(walk.clean, walk.point, eps, share, walk.streams)

    with torch.no_grad():
        clean = inputs.detach()
        unknown = torch.full_like(labels, -torch.inf, dtype=clean.dtype)
        nothing = torch.zeros_like(labels)
        walk = _Walk(all_rows(clean), clean, clean, unknown, goal, generator, nothing)
        return _climb(model, walk, propose, queries, search or Search())


def halvings(proposal: int, of: int) -> int:
    """Return how often the area of a square has been halved.

    Args:
        proposal: its number, from 0.
        of: how many there will be.

    Example:
        >>> [halvings(i, 5000) for i in (0, 5, 6, 26, 4999)]
        [0, 0, 1, 2, 9]
    """
    return bisect_left(_HALVINGS, int(proposal / of * _OF))


@dataclass(frozen=True)
class _Walk:
    """Where every image stands that is still asked about."""

    rows: Tensor  # (m,), their places in the batch
    clean: Tensor  # (m, c, h, w)
    point: Tensor  # (m, c, h, w), what the next square is added to
    value: Tensor  # (m,), of point
    goal: Mislead
    streams: Randomness
    spent: Tensor  # (m,), int64

    def of(self, chosen: Tensor) -> "_Walk":
        """Return the walk of some of the images."""
        return _Walk(
            self.rows[chosen],
            self.clean[chosen],
            self.point[chosen],
            self.value[chosen],
            self.goal.rows(chosen),
            streams_of(self.streams, chosen),
            self.spent[chosen],
        )


def _climb(
    model: Classifier,
    walk: _Walk,
    propose: Callable[[_Walk, int], Tensor],
    queries: int,
    search: Search,
) -> Tensor:
    """Ask about one proposal after the other; go where the goal is higher or reached."""
    best = BestSeen(walk.clean)
    exact_from = queries - max(1, queries // 10) if search.confirm else 0
    for number in range(queries):
        if not len(walk.rows):
            break
        exact = number >= exact_from
        again = search.confirm is not None and number == max(2, exact_from)
        # what the cheaper model said of a point does not compare: it is asked about once more
        points = walk.point if again else propose(walk, number)
        scorer = (search.confirm or model) if exact else model
        logits = read(scorer, points, walk.rows, search.micro_batch)
        value = walk.goal.value(logits).to(walk.value).nan_to_num(-torch.inf)
        # the search begins at the first squares, even where the clean image was worse
        higher = (value > walk.value) | (number <= 1 or again)
        success, clear_success, cost = _verdict(search, walk, points, logits, higher, exact=exact)
        best.update(points, value, success, walk.rows)
        accepted = higher | success
        walk = replace(
            walk,
            point=torch.where(per_row(accepted, points), points, walk.point),
            value=torch.where(accepted, value, walk.value),
            spent=walk.spent + cost,
        )
        most = 2 if number + 1 < exact_from else 1  # a success is asked of both models
        going = ~clear_success & (walk.spent + most <= queries)
        if not bool(going.all()):
            walk = walk.of(going.nonzero()[:, 0])
    return best.points


def _verdict(
    search: Search, walk: _Walk, points: Tensor, logits: Tensor, higher: Tensor, *, exact: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Say which points are successes, which of them clear ones, and the queries of each."""
    cost = torch.ones_like(walk.spent)
    if exact:
        return *judge(search, walk.goal, points, logits, walk.rows, exact=True), cost
    # where a point no lower was refuted there is nothing to be asked again
    candidates = (walk.goal.success(logits) & higher).nonzero()[:, 0]
    success = torch.zeros_like(higher)
    clear_success = success.clone()
    if len(candidates):
        cost[candidates] += 1
        success[candidates], clear_success[candidates] = judge(
            search,
            walk.goal.rows(candidates),
            points[candidates],
            logits[candidates],
            walk.rows[candidates],
            exact=False,
        )
    return success, clear_success, cost


SPEC = AttackSpec(
    square,
    kind="query",
    norms=("linf", "l2"),
    source="Andriushchenko et al. 2020, arXiv:1912.00049",
    needs_gradient=False,
    random=True,
    keeps="success",
)
