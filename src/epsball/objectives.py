"""What attacks climb: functions of (scores, classes) that grow as the model likes a class less.

An untargeted attack climbs `objective(logits, labels)`; a targeted one climbs
`-objective(logits, targets)`. Of a model that rejects, an objective sees class scores in which
being rejected counts as keeping the label (`epsball.rejecting`); towards a target the reject score
is one more score to beat. So every objective knows of the rejection, and none is pulled into it.
"""

import torch
from torch import Tensor
from torch.nn import functional

from epsball.errors import unknown_name
from epsball.rejecting import HINGES
from epsball.tensors import Labels, Logits, Objective, Values

_THIRD = 3
_TINY = 1e-12  # all scores equal: nothing to divide by


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


def spread(logits: Logits) -> Values:
    """Return the standard deviation of each row's scores: a unit that no scale of a model changes.

    Args:
        logits: (n, k), float.

    Returns:
        (n,), above zero, without gradient.

    Example:
        >>> spread(torch.tensor([[2.0, 4.0]])).item()
        1.0
    """
    return logits.detach().std(1, correction=0).clamp_min(_TINY)


def hinge(logits: Logits, classes: Labels, confidence: float = 1.0) -> Values:
    """Return `margin`, capped: nothing is gained beyond a lead of `confidence`.

    Source: Carlini and Wagner 2017, arXiv:1608.04644, section V-A, f_6. The hinge that trains
    classifiers, max(0, 1 - lead), would have no gradient exactly where the model is sure; this is
    its mirror image, without gradient only where the image is fooled already.

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


def dlr(logits: Logits, classes: Labels) -> Values:
    """Return `margin` over the distance between the first and the third score.

    Neither shifting nor scaling the scores changes it, so a model that is sure of itself by a
    factor cannot hide its gradient.

    Args:
        logits: (n, k), float, k >= 2.
        classes: (n,), int64.

    Returns:
        (n,); in [-1, 1] for a class among the first three of four or more.

    Example:
        >>> dlr(torch.tensor([[2.0, 5.0, 1.0, 1.0]]), torch.tensor([0])).item()
        0.75

    Source: Croce and Hein 2020, arXiv:2003.01690, section 4.1. Departures: with two or three
    classes the scale holds the very scores that are compared and stalls the climb: there it is
    `margin`; the gradient of the scale is left out for a class that is not among the first two.
    """
    lead = margin(logits, classes)
    if logits.shape[1] <= _THIRD:
        return lead
    ranked = logits.topk(_THIRD, dim=1).values
    scale = (ranked[:, 0] - ranked[:, 2]).clamp_min(_TINY)
    # a class that is third or lower lies the whole scale below: the ratio would be constant
    low = logits.gather(1, classes[:, None])[:, 0] <= ranked[:, 2]
    return lead / torch.where(low, scale.detach(), scale)


def lead_over(logits: Logits, classes: Labels, towards: Labels) -> Values:
    """Return how far one class lies above another, in scores.

    Args:
        logits: (n, k), float, k >= 2.
        classes: (n,), int64; to be left.
        towards: (n,), int64; to be reached.

    Returns:
        (n,); above zero where `towards` beats `classes`.

    Example:
        >>> lead_over(torch.tensor([[4.0, 1.0]]), torch.tensor([0]), torch.tensor([1])).item()
        -3.0
    """
    return (logits.gather(1, towards[:, None]) - logits.gather(1, classes[:, None]))[:, 0]


def dlr_towards(logits: Logits, classes: Labels, towards: Labels) -> Values:
    """Return how far each row's class lies below another one, in units that scores do not set.

    Args:
        logits: (n, k), float, k >= 2.
        classes: (n,), int64; to be left.
        towards: (n,), int64; to be reached.

    Returns:
        (n,); above zero where `towards` beats `classes`.

    Example:
        >>> scores = torch.tensor([[4.0, 1.0, 0.0, 0.0]])
        >>> dlr_towards(scores, torch.tensor([0]), torch.tensor([1])).item()
        -0.75

    Source: Croce and Hein 2020, arXiv:2003.01690, equation 7. Departure: with two or three classes
    it is the plain difference.
    """
    gained = lead_over(logits, classes, towards)
    if logits.shape[1] <= _THIRD:
        return gained
    ranked = logits.topk(_THIRD + 1, dim=1).values
    scale = (ranked[:, 0] - ranked[:, 2:].mean(1)).clamp_min(_TINY)
    return gained / scale


def logit(logits: Logits, classes: Labels) -> Values:
    """Return minus the score of each row's class: towards a target, its score alone is raised.

    Args:
        logits: (n, k), float.
        classes: (n,), int64.

    Returns:
        (n,).

    Example:
        >>> logit(torch.tensor([[2.0, 5.0]]), torch.tensor([1])).item()
        -5.0

    Source: Zhao, Liu and Larson 2021, arXiv:2012.11207, section 3.2.
    """
    return -logits.gather(1, classes[:, None])[:, 0]


OBJECTIVES: dict[str, Objective] = {
    "cross-entropy": cross_entropy,
    "margin": margin,
    "hinge": hinge,
    "dlr": dlr,
    "logit": logit,
    # the best other class minus max(label, reject): attacks hand in scores that count so already
    "reject-margin": margin,
}


def named_objective(objective: Objective | str) -> Objective:
    """Return the objective of that name, or the function itself.

    Raises:
        InvalidInput: no objective has that name.
    """
    if callable(objective):
        return objective
    known = OBJECTIVES | HINGES
    if objective not in known:
        raise unknown_name("objective", objective, known)
    return known[objective]


def is_adversarial(
    logits: Tensor, labels: Tensor, targets: Tensor | None = None, *, classes: int | None = None
) -> Tensor:
    """Say in which rows the attacker succeeds.

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
        success = prediction == targets
    else:
        success = (prediction != labels) & (prediction < (classes or logits.shape[1]))
    return success & logits.isfinite().all(1)
