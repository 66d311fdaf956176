"""What attacks share that look for the nearest image by small or few changes.

The rows that are still to be fooled, the nearest image found for each, and the removal of changes
that turn out to be needless.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from epsball.attacks.core.ascent import confirmed, look
from epsball.attacks.core.asking import all_rows, read
from epsball.attacks.nearest.border import Winning
from epsball.errors import InvalidInput
from epsball.geometry import per_row, size
from epsball.tensors import Classifier
from epsball.types import Norm, Search


class Hunt:
    """The search for the nearest image that fools, for some rows of a batch.

    Whatever is shown to the model through a hunt may become its result. Numbers of rows (`part`)
    count within the hunt; None means all of them.
    """

    def __init__(
        self,
        model: Classifier,
        goal: Winning,
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
        """Return the model that has the last word."""
        return self.search.confirm or self.model

    def look(self, points: Tensor, part: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return who has won (m,), the lead (m,) and its gradient (m, c, h, w) at points."""
        part = all_rows(points) if part is None else part
        goal, batch = self.goal.rows(part), self.search.micro_batch
        seen, logits = look(self.model, points, self.rows[part], goal, micro_batch=batch)
        return self.keep(points, logits, part), seen.value, seen.slope

    def read(self, points: Tensor, part: Tensor | None = None) -> Tensor:
        """Return who has won (m,) at points."""
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
        """Take the points that fool and are nearer than what was found; return who has won.

        Logits that are not `exact` are a cheaper copy's: of the points that they would have taken
        the model itself is asked, and those that do not fool it have not won. `far` is how far the
        points are, where that is known.
        """
        goal, rows = self.goal.rows(part), self.rows[part]
        won = confirmed(None, goal, points, logits, rows)
        distance = size(points - self.clean[part], self.norm) if far is None else far
        better = won & (distance < self.distance[part])
        if self.search.confirm is not None and not exact:
            asked = better.nonzero()[:, 0]
            told = (points[asked], logits[asked], rows[asked])
            better[asked] = won[asked] = confirmed(self.search, goal.rows(asked), *told)
        self.points[part] = torch.where(per_row(better, points), points, self.points[part])
        self.distance[part] = torch.where(better, distance, self.distance[part])
        return won


def where_needed(
    model: Classifier,
    inputs: Tensor,
    labels: Tensor,
    targets: Tensor | None,
    *,
    norm: Norm,
    seek: Callable[[Hunt, Tensor], None],
) -> Tensor:
    """Hunt for the rows that do not fool the model when clean, and leave the others clean.

    Args:
        model: the classifier.
        inputs: (n, c, h, w), the clean batch.
        labels: (n,).
        targets: (n,), or None.
        norm: in which an image is near.
        seek: does the work, given the hunt and the clean scores (m, k) of its rows.

    Returns:
        (n, c, h, w), what was found; the clean image where nothing was.
    """
    clean = inputs.detach()
    goal, rows = Winning(model, labels, targets), all_rows(clean)
    logits = read(model, clean, rows)
    needed = rows[~goal.won(logits)]
    result = clean.clone()
    if len(needed):
        hunt = Hunt(model, goal.rows(needed), clean[needed], needed, norm)
        seek(hunt, logits[needed])
        result[needed] = hunt.points
    return result


def prune(hunt: Hunt, *, saturate: bool) -> None:
    """Give back changes that are not needed, for the price of about log2(changes) forward passes.

    Changes are ranked by what they add to the lead, to first order, and the shortest head of that
    list that still fools is looked for by halving.

    Args:
        hunt: in l0; gets better, never worse.
        saturate: whether to push every change to the end of its range first, where that still
            fools: then fewer may do.
    """
    part = hunt.distance.isfinite().nonzero()[:, 0]
    if not len(part):
        return
    clean, points = hunt.clean[part], hunt.points[part]
    changed = points != clean
    _, _, slope = hunt.look(points, part)
    if saturate:
        pushed = torch.where(changed & (slope != 0), (slope > 0).to(points), points)
        points = torch.where(per_row(hunt.read(pushed, part), points), pushed, points)
    gain = torch.where(changed, slope * (points - clean), -torch.inf).flatten(1)
    rank = gain.argsort(dim=1, descending=True).argsort(dim=1).view_as(points)
    low, high = torch.zeros_like(part), changed.flatten(1).sum(1)
    for _ in range(int(high.max()).bit_length()):
        middle = (low + high) // 2
        won = hunt.read(torch.where(rank < per_row(middle, rank), points, clean), part)
        high, low = torch.where(won, middle, high), torch.where(won, low, middle + 1)


def require(attack: str, name: str, rule: str, value: float, *, holds: bool) -> None:
    """Raise InvalidInput unless a rule of an argument holds."""
    if not holds:
        raise InvalidInput(f"{attack}: {name} must be {rule}, got {value}")
