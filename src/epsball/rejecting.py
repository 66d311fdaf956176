"""Scores of models that reject, as an attacker has to see them, and the losses made for them."""

import torch

from epsball.tensors import Labels, Logits, Objective, Values
from epsball.types import Gives


def against_rejection(scores: Logits, labels: Labels, classes: int) -> Logits:
    """Return class scores in which being rejected counts as keeping the label.

    The label's score becomes the larger of its own and the reject score. Then the margin is that of
    an accepted wrong class over all that the attacker does not want, and above zero exactly where
    he has won; and cross-entropy, hinge and DLR stand still neither short of the rejection nor in
    it.

    Args:
        scores: (n, k + 1) of a model that rejects, the last column "reject"; or (n, k).
        labels: (n,), int64.
        classes: k.

    Returns:
        (n, k); scores themselves where there is no reject column.

    Example:
        >>> scores = torch.tensor([[2.0, 3.0, 5.0]])
        >>> against_rejection(scores, torch.tensor([0]), 2)
        tensor([[5., 3.]])

    Source: max(s_y, s_R) - max over the others, which the attack of Sotgiu et al. 2020,
    doi:10.1186/s13635-020-00105-y, lowers.
    """
    if scores.shape[1] == classes:
        return scores
    column = labels[:, None]
    scores_of_label = torch.maximum(scores.gather(1, column), scores[:, classes:])
    return scores[:, :classes].scatter(1, column, scores_of_label)


def probabilities(scores: Logits, gives: Gives = "logits") -> Logits:
    """Return what a model's scores say as probabilities.

    Args:
        scores: (n, k), or (n, k + 1) of a model that rejects.
        gives: what they are. "log-odds": a sigmoid for each column, whose sum need not be 1; else
            a softmax over all columns.

    Returns:
        As scores, in [0, 1].

    Example:
        >>> probabilities(torch.tensor([[0.0, 0.0]]), "log-odds")
        tensor([[0.5000, 0.5000]])
    """
    return scores.sigmoid() if gives == "log-odds" else scores.softmax(1)


def machines_hinge(logits: Logits, classes: Labels) -> Values:
    """Return how far k machines, one against the rest each, are from naming each row's class.

    The sum over machines i of max(0, 1 - y_i f_i), y_i = 1 for the row's class and -1 for others.
    It is made to be lowered towards a class; the attack `rejection` chooses that class.

    Args:
        logits: (n, k), float; decision values, one a machine.
        classes: (n,), int64.

    Returns:
        (n,), at least zero; zero where every machine is right by 1 or more.

    Example:
        >>> machines_hinge(torch.tensor([[2.0, -3.0, 0.5]]), torch.tensor([0])).item()
        1.5

    Source: the loss of Thanthulage's attack on Neural Rejection, read as the sum over machines.
    """
    rest = (1 + logits).clamp_min(0).scatter(1, classes[:, None], 0)
    return rest.sum(1) + machine_hinge(logits, classes)


def machine_hinge(logits: Logits, classes: Labels) -> Values:
    """Return max(0, 1 - score) of each row's class alone: the one machine's part of the sum.

    Args:
        logits: (n, k), float; decision values, one a machine.
        classes: (n,), int64.

    Returns:
        (n,), at least zero.

    Example:
        >>> machine_hinge(torch.tensor([[2.0, -3.0, 0.5]]), torch.tensor([2])).item()
        0.5

    Source: see `machines_hinge`.
    """
    return (1 - logits.gather(1, classes[:, None])[:, 0]).clamp_min(0)


# flat where the model is sure of a class that is to be left: only for classes to be reached
HINGES: dict[str, Objective] = {"reject-hinge": machines_hinge, "reject-hinge-one": machine_hinge}
