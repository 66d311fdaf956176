"""What attacks share that look for the nearest image by small or few changes.

The rows that are still to be fooled, the nearest image found for each, and the removal of changes
that turn out to be needless.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from epsball.attacks.core.ascent import confirmed, value_and_slope
from epsball.attacks.core.asking import all_rows, read
from epsball.attacks.nearest.border import LeadGoal
from epsball.errors import InvalidInput
from epsball.geometry import per_row, size
from epsball.tensors import Classifier
from epsball.types import Norm, Search


class NearestSearch:
    """The search for the nearest image that fools, for some rows of a batch.

    Whatever is shown to the model through a search may become its result. Numbers of rows (`part`)
    count within the search; None means all of them.
    """

    def __init__(
        self,
        model: Classifier,
        goal: LeadGoal,
        clean: Tensor,
        rows: Tensor,
        norm: Norm,
        *,
        search: Search | None = None,
    ) -> None:
        """Start with nothing found.

        Args:
            model: the classifier.
            goal: of these rows.
            clean: (m, c, h, w).
            rows: (m,), int64, where these rows stand in the attack's batch.
            norm: in which an image is near.
            search: on which model gradients are taken, and which one has the last word.
        """
        self.search = search or Search()
        self.model, self.goal, self.clean, self.rows, self.norm = model, goal, clean, rows, norm
        self.points = clean.clone()
        self.distance = clean.new_full((len(clean),), torch.inf)

    @property
    def exact(self) -> Classifier:
        """Return the model that confirms successes."""
        return self.search.confirm or self.model

    def evaluate(self, points: Tensor, part: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the successes (m,), the lead (m,) and its gradient (m, c, h, w) at points."""
        part = all_rows(points) if part is None else part
        goal, batch = self.goal.rows(part), self.search.micro_batch
        visit, logits = value_and_slope(
            self.model, points, self.rows[part], goal, micro_batch=batch
        )
        return self.keep(points, logits, part), visit.value, visit.slope

    def read(self, points: Tensor, part: Tensor | None = None) -> Tensor:
        """Return the successes (m,) at points."""
        part = all_rows(points) if part is None else part
        logits = read(self.exact, points, self.rows[part], self.search.micro_batch)
        return self.keep(points, logits, part, exact=True)

    def keep(
        self,
        points: Tensor,
        logits: Tensor,
        part: Tensor,
        *,
        exact: bool = False,
        far: Tensor | None = None,
    ) -> Tensor:
        """Keep the successes that are nearer than the best so far; return the successes.

        Logits that are not `exact` are a cheaper copy's: points that would be kept are scored by
        the model itself, and those that do not fool it are no successes. `far` is the distance of
        the points, where it is known.
        """
        goal, rows = self.goal.rows(part), self.rows[part]
        success = confirmed(None, goal, points, logits, rows)
        distance = size(points - self.clean[part], self.norm) if far is None else far
        better = success & (distance < self.distance[part])
        if self.search.confirm is not None and not exact:
            candidates = better.nonzero()[:, 0]
            exact_success = confirmed(
                self.search,
                goal.rows(candidates),
                points[candidates],
                logits[candidates],
                rows[candidates],
            )
            better[candidates] = success[candidates] = exact_success
        self.points[part] = torch.where(per_row(better, points), points, self.points[part])
        self.distance[part] = torch.where(better, distance, self.distance[part])
        return success


def where_needed(
    model: Classifier,
    inputs: Tensor,
    labels: Tensor,
    targets: Tensor | None,
    *,
    norm: Norm,
    seek: Callable[[NearestSearch, Tensor], None],
) -> Tensor:
    """Search for the rows that do not fool the model when clean, and leave the others clean.

    Args:
        model: the classifier.
        inputs: (n, c, h, w), the clean batch.
        labels: (n,).
        targets: (n,), or None.
        norm: in which an image is near.
        seek: does the work, given the search and the clean scores (m, k) of its rows.

    Returns:
        (n, c, h, w), what was found; the clean image where nothing was.
    """
    clean = inputs.detach()
    goal, rows = LeadGoal(model, labels, targets), all_rows(clean)
    logits = read(model, clean, rows)
    needed = rows[~goal.success(logits)]
    result = clean.clone()
    if len(needed):
        nearest = NearestSearch(model, goal.rows(needed), clean[needed], needed, norm)
        seek(nearest, logits[needed])
        result[needed] = nearest.points
    return result


def prune(nearest: NearestSearch, *, saturate: bool) -> None:
    """Undo changes that are not needed, at about log2(changes) forward passes.

    Changes are ranked by what they add to the lead, to first order, and the shortest head of that
    list that still fools is looked for by halving.

    Args:
        nearest: in l0; gets better, never worse.
        saturate: whether to push every change to the end of its range first, where that still
            fools: then fewer may do.
    """
    part = nearest.distance.isfinite().nonzero()[:, 0]
    if not len(part):
        return
    clean, points = nearest.clean[part], nearest.points[part]
    changed = points != clean
    _, _, slope = nearest.evaluate(points, part)
    if saturate:
        saturated = torch.where(changed & (slope != 0), (slope > 0).to(points), points)
        points = torch.where(per_row(nearest.read(saturated, part), points), saturated, points)
    gain = torch.where(changed, slope * (points - clean), -torch.inf).flatten(1)
    rank = gain.argsort(dim=1, descending=True).argsort(dim=1).view_as(points)
    low, high = torch.zeros_like(part), changed.flatten(1).sum(1)
    for _ in range(int(high.max()).bit_length()):
        middle = (low + high) // 2
        success = nearest.read(torch.where(rank < per_row(middle, rank), points, clean), part)
        high, low = torch.where(success, middle, high), torch.where(success, low, middle + 1)


def require(attack: str, name: str, rule: str, value: float, *, holds: bool) -> None:
    """Raise InvalidInput unless a rule of an argument holds."""
    if not holds:
        raise InvalidInput(f"{attack}: {name} must be {rule}, got {value}")
