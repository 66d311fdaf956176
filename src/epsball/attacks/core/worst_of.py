"""Attacks that score a list of candidates and return the worst for the model. No gradient."""

from collections.abc import Callable, Iterable

from torch import Tensor

from epsball.attacks.core.ascent import BestSeen, judge
from epsball.attacks.core.asking import all_rows, read
from epsball.attacks.gradient.pgd import Mislead
from epsball.objectives import margin
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Search

Candidate = Callable[[Tensor], Tensor]  # rows of the batch (m,) -> their images (m, c, h, w)


def worst_of(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    targets: Labels | None,
    candidates: Iterable[Candidate],
    *,
    search: Search | None,
) -> Images:
    """Show the model every candidate and keep, for each image, the one that fools it most.

    Args:
        model: the classifier.
        inputs: clean batch, (n, c, h, w); what is returned where no candidate gives finite scores.
        labels: (n,), the true classes.
        targets: (n,), the classes to reach, or None.
        candidates: functions of the rows that are still looked at; asked in turn.
        search: with `retire`, an image that is fooled is shown no further candidate.

    Returns:
        (n, c, h, w); candidates rank by (success, margin), the earlier one first.
    """
    search = search or Search(retire=False)
    best, rows = BestSeen(inputs), all_rows(inputs)
    goal = Mislead(model, margin, labels, targets)
    for candidate in candidates:
        points = candidate(rows)
        logits = read(model, points, rows, search.micro_batch)
        success, clear_success = judge(search, goal, points, logits, rows, exact=False)
        best.update(points, goal.value(logits), success, rows)
        if search.retire and bool(clear_success.any()):
            going = (~clear_success).nonzero()[:, 0]
            rows, goal = rows[going], goal.rows(going)
            if not len(rows):
                break
    return best.points
