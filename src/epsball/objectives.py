"""What attacks climb: functions of (scores, classes) that grow as the model likes a class less.

An untargeted attack climbs `objective(logits, labels)`; a targeted one climbs
`-objective(logits, targets)`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from epsball.errors import unknown_name
from epsball.tensors import Labels, Logits, Objective, Values


def cross_entropy(logits: Logits, classes: Labels) -> Values:
    """Return minus the log-probability of each row's class.

    Args:
        logits: (n, k), float.
        classes: (n,), int64.

    Returns:
        (n,), at least zero.

    Example:
        >>> cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1])).item()
        0.6931471824645996
    """
    return functional.cross_entropy(logits, classes, reduction="none")


def margin(logits: Logits, classes: Labels) -> Values:
    """Return how far the best other class lies above each row's class.

    The negative of the usual margin (positive means correct), so that it is something to climb.
    Its gradient does not vanish where softmax saturates.

    Args:
        logits: (n, k), float, k >= 2.
        classes: (n,), int64.

    Returns:
        (n,); above zero where the row's class is not first.

    Example:
        >>> margin(torch.tensor([[2.0, 5.0, 1.0]]), torch.tensor([0])).item()
        3.0
    """
    column = classes[:, None]
    others = logits.scatter(1, column, -torch.inf)
    return others.amax(1) - logits.gather(1, column)[:, 0]


def hinge(logits: Logits, classes: Labels, confidence: float = 1.0) -> Values:
    """Return `margin`, capped: nothing is gained beyond a lead of `confidence`.

    Source: Carlini and Wagner 2017, arXiv:1608.04644, section V-A, f_6. The hinge that trains
    classifiers, max(0, 1 - lead), would have no gradient exactly where the model is sure; this is
    its mirror image, without gradient only where the picture is fooled already.

    Args:
        logits: (n, k), float, k >= 2.
        classes: (n,), int64.
        confidence: the lead, in logits, that is enough.

    Returns:
        (n,), at most confidence.

    Example:
        >>> hinge(torch.tensor([[2.0, 5.0, 1.0]]), torch.tensor([0])).item()
        1.0
    """
    return margin(logits, classes).clamp_max(confidence)


OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": cross_entropy,
    "margin": margin,
    "hinge": hinge,
}


def named_objective(objective: Objective | str) -> Objective:
    """Return the objective of that name, or the function itself.

    Raises:
        InvalidInput: no objective has that name.
    """
    if callable(objective):
        return objective
    if objective not in OBJECTIVES:
        raise unknown_name("objective", objective, OBJECTIVES)
    return OBJECTIVES[objective]


def is_adversarial(
    logits: Tensor, labels: Tensor, targets: Tensor | None = None, *, classes: int | None = None
) -> Tensor:
    """Say which rows an attacker has won.

    Args:
        logits: (n, k) scores, or (n, k + 1) of a model that rejects.
        labels: (n,), the true classes.
        targets: (n,), the classes to reach; None: any class but the label.
        classes: k; a column beyond it means "reject", which is never a win. None: all columns.

    Returns:
        (n,), bool. A row with a score that is not finite is no win: the model failed, it was not
        fooled.

    Example:
        >>> is_adversarial(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 0]))
        tensor([ True, False])
    """
    prediction = logits.argmax(1)
    if targets is not None:
        won = prediction == targets
    else:
        won = (prediction != labels) & (prediction < (classes or logits.shape[1]))
    return won & logits.isfinite().all(1)
