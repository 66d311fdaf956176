"""Auto-PGD towards one wrong class after another: the strongest single attack of AutoAttack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from epsball.attacks.core.ascent import BestSeen, Goal
from epsball.attacks.core.asking import Part, all_rows, class_count, read, search_part
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.apgd import NORMS, auto_ascend
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.objectives import dlr, dlr_towards, is_adversarial
from epsball.randomness import Randomness, another_run
from epsball.rejecting import against_rejection
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search


@dataclass(frozen=True)
class Towards:
    """Climb from the label towards one other class.

    Args:
        model: the classifier.
        labels: (n,), the true classes.
        towards: (n,), the classes that are climbed to.
        targets: (n,), the only classes that are a success; None: any class but the label.
        lead: (scores, labels, towards) -> (n,), what is climbed.
    """

    model: Classifier
    labels: Tensor
    towards: Tensor
    targets: Tensor | None = None
    lead: Callable[[Tensor, Tensor, Tensor], Tensor] = dlr_towards

    def value(self, logits: Tensor) -> Tensor:
        """Return how near the class towards is to beating the label, and the rejection."""
        logits = against_rejection(logits, self.labels, class_count(self.model, logits))
        return self.lead(logits, self.labels, self.towards)

    def success(self, logits: Tensor) -> Tensor:
        """Judge success; being rejected is none."""
        classes = class_count(self.model, logits)
        return is_adversarial(logits, self.labels, self.targets, classes=classes)

    def rows(self, chosen: Tensor) -> "Towards":
        """Return the goal of some rows."""
        targets = None if self.targets is None else self.targets[chosen]
        return replace(
            self, labels=self.labels[chosen], towards=self.towards[chosen], targets=targets
        )


@validated
def apgd_t(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    steps: int = 100,
    classes: int = 9,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Search the eps-ball once towards each of the wrong classes the model likes best.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf", "l2" or "l1".
        steps: gradient evaluations an image and class.
        classes: how many wrong classes are tried, the likeliest first; all where there are fewer.
        targets: (n,), int64; the only classes tried and the only success; None: any class.
        generator: source of the random starts; torch's global one when None.
        search: what may be saved; None: full budget in float32.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; for each row the best of all walks, by
        (fooled, nearness to its class).

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is l0.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 3), 0.5), torch.tensor([0])
        >>> flat(apgd_t(flat, x, y, eps=0.125)).argmax(1)
        tensor([1])

    Source: Croce and Hein 2020, arXiv:2003.01690, section 4.2. Departures: those of `apgd`; any
    number of classes from 2 upwards, where the reference asks for 4 and for 10.
    """
    check_call("apgd-t", inputs, labels, targets, eps=eps, norm=norm, norms=NORMS, steps=steps)
    if classes < 1:
        raise InvalidInput(f"apgd-t: classes must be >= 1, got {classes}")
    best, rows = BestSeen(inputs), all_rows(inputs)
    goals = _goals(model, inputs, labels, targets, count=classes, search=search)
    for number, whole in enumerate(goals):
        goal = whole.rows(rows)
        points = auto_ascend(
            Part(model, rows),
            inputs[rows],
            goal=goal,
            eps=eps,
            norm=norm,
            steps=steps,
            generator=another_run(generator, number, rows),
            search=search and search_part(search, rows),
        )
        exact, micro_batch = (model, None)
        if search is not None:
            exact, micro_batch = search.confirm or model, search.micro_batch
        logits = read(exact, points, rows, micro_batch)
        success = goal.success(logits)
        best.update(points, goal.value(logits), success, rows)
        if search is not None and search.retire:
            rows = rows[~success]
        if not len(rows):
            break
    return best.points


def _goals(
    model: Classifier,
    inputs: Tensor,
    labels: Tensor,
    targets: Tensor | None,
    *,
    count: int,
    search: Search | None,
) -> Sequence[Goal]:
    if targets is not None:
        return [Mislead(model, dlr, labels, targets)]  # away from every class but the target
    micro_batch = None if search is None else search.micro_batch
    logits = read(model, inputs, all_rows(inputs), micro_batch)
    logits = logits[:, : class_count(model, logits)]
    others = logits.scatter(1, labels[:, None], -float("inf"))
    ranked = others.topk(min(count, logits.shape[1] - 1), dim=1).indices
    return [Towards(model, labels, towards) for towards in ranked.unbind(1)]


SPEC = AttackSpec(
    apgd_t,
    kind="budget",
    norms=("linf", "l2", "l1"),
    source="Croce and Hein 2020, arXiv:2003.01690",
    random=True,
    keeps="success",
)
