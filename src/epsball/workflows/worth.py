"""The rates of a fitted defence on clean images, before it is attacked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from epsball.data import choose, part_of, to_unit, unseen_rows
from epsball.defences import RbfSvm
from epsball.defences.base.model import where
from epsball.defences.base.rejector import Rejector
from epsball.defences.base.thresholds import calibration_mask
from epsball.evaluation.metrics.present import percent
from epsball.types import Dataset, Positions
from epsball.workflows.defend import FittedDefence, labelled_for

Seen: TypeAlias = Literal["test", "left out", "fit"]
_COUNTED = 4  # right: bare, named, accepted; rejected
_MANY = 2000  # a share of these is off by a point or two, and they take seconds
# a machine that is so much worse than the model does not see what the layer says
_WEAK = 0.15
_MANY_REJECTED = 0.1  # twice what is usual


@dataclass(frozen=True)
class Worth:
    """Shares of clean images.

    Args:
        images: how many were asked about.
        seen: which: "test", of the test split; "left out", of the fit; "fit", those of the fit.
        bare: named right by the model alone.
        named: named right by the defence, were it not to reject.
        right: accepted as the right class.
        rejected: rejected.
    """

    images: int
    seen: Seen
    bare: float
    named: float
    right: float
    rejected: float


@dataclass(frozen=True)
class MachineFacts:
    """What a row of machines in a defence learned.

    Args:
        layer: whose activations it sees, or "combiner".
        features: how many numbers that is.
        gamma: of the kernel.
        c: the penalty.
        support_vectors: images kept, by all machines together.
        images: it was fitted on.
        accuracy: of machines like it on images they had not seen (cross-validated); None where
            they were not fitted in this process.
    """

    layer: str
    features: int
    gamma: float
    c: float
    support_vectors: int
    images: int
    accuracy: float | None


def worth_of(fitted: FittedDefence, test: Dataset, limit: int = _MANY) -> Worth:
    """Score clean images that the fit did not use with a defence and with the model inside.

    Args:
        fitted: the defence, and what it was fitted on.
        test: the test split; where it is the data of the fit over again, what the fit left out is
            taken, and where nothing is, the images of the fit. Test images that the fit used do
            not count.
        limit: images at most.
    """
    rejector = fitted.rejector
    test = labelled_for(rejector.model, rejector.info.classes, test)
    positions, seen = _unseen(fitted, test, limit)
    counts = torch.zeros(_COUNTED)
    for images, labels in _batches(rejector, test, positions):
        counts += _counts(rejector, images, labels)
    bare, named, right, rejected = (count / len(positions) for count in counts.tolist())
    return Worth(len(positions), seen, bare, named, right, rejected)


def _unseen(fitted: FittedDefence, test: Dataset, limit: int) -> tuple[Positions, Seen]:
    if not _same(fitted.data, test):
        chosen = choose(test.labels, limit)
        new = unseen_rows(part_of(fitted.data, fitted.rows), part_of(test, chosen))
        return (chosen[new], "test") if len(new) else (chosen, "fit")
    left = np.setdiff1d(np.arange(len(test)), fitted.rows)
    if not len(left):
        return fitted.rows[choose(test.labels[fitted.rows], limit)], "fit"
    return left[choose(test.labels[left], limit)], "left out"


def _same(one: Dataset, other: Dataset) -> bool:
    """Say whether two splits hold the same images, as files that are not split do."""
    if not np.array_equal(one.labels, other.labels):
        return False
    ends = np.array([0, len(one) - 1])
    return np.array_equal(one.read(ends), other.read(ends))


def _batches(
    rejector: Rejector, data: Dataset, chosen: Positions
) -> Iterator[tuple[Tensor, Tensor]]:
    like = where(rejector.model)
    for at in range(0, len(chosen), rejector.batch_size):
        rows = chosen[at : at + rejector.batch_size]
        images = to_unit(data.read(rows)).to(like.device, like.dtype)
        yield images, torch.from_numpy(data.labels[rows]).to(like.device)


@torch.no_grad()
def _counts(rejector: Rejector, images: Tensor, labels: Tensor) -> Tensor:
    classes = rejector.info.classes
    scores = rejector(images)
    answers = (rejector.model(images), scores[:, :classes], scores)
    counts = [int((one.argmax(1) == labels).sum()) for one in answers]
    return torch.tensor([*counts, int((scores.argmax(1) == classes).sum())])


def machine_facts(fitted: FittedDefence) -> list[MachineFacts]:
    """Return what each row of machines learned; nothing for a defence without any."""
    labels = torch.from_numpy(fitted.data.labels[fitted.rows])
    return [_facts(name, machine, labels) for name, machine in fitted.machines]


def _facts(name: str, machine: RbfSvm, labels: Tensor) -> MachineFacts:
    out_of_fold = vars(machine).get("out_of_fold_")
    marks = (
        labels
        if out_of_fold is None or len(out_of_fold) == len(labels)
        else labels[~calibration_mask(labels)]
    )
    support = machine.support
    assert support is not None  # noqa: S101 - fitted
    return MachineFacts(
        layer=name,
        features=support.shape[1],
        gamma=machine.gamma_,
        c=machine.c_,
        support_vectors=machine.support_count_,
        images=len(marks),
        accuracy=None
        if out_of_fold is None
        else float((out_of_fold.argmax(1).cpu() == marks).double().mean()),
    )


def remedies(worth: Worth, machines: list[MachineFacts], rejector: Rejector) -> list[str]:
    """Return remedies for a defence that rejects too much or too little.

    Args:
        worth: what it makes of clean images.
        machines: what is inside.
        rejector: the defence.

    Returns:
        One sentence each; none where all looks well.
    """
    lines = []
    bar = worth.bare - _WEAK
    weak = {one.layer: one.accuracy for one in machines[: _layers(rejector)] if one.accuracy}
    if weak := {layer: rate for layer, rate in weak.items() if rate < bar}:
        listed = ", ".join(f"{layer} {percent(rate)}" for layer, rate in weak.items())
        adapted = rejector.settings()["gamma"] == "scale"
        lines.append(
            f"machines name far fewer right than the model's {percent(worth.bare)} on {listed}; "
            + (
                f"--with {rejector.name}:gamma=scale,c=10, other layers or more images"
                if adapted
                else f"gamma may not suit these features: --with {rejector.name}:gamma=scale goes "
                "by their spread; else other layers (epsball layers) or more images"
            )
        )
    if worth.rejected > _MANY_REJECTED:
        by_rate = rejector.threshold is None and (
            rejector.false_rejection is not None or rejector.gives == "logits"
        )
        lines.append(
            f"{percent(worth.rejected)} of clean images are rejected: "
            + (
                "the images that set the threshold were more alike than these, or few: fit on "
                "more of them"
                if by_rate
                else "--false-rejection 0.05 sets the threshold so that about one in twenty is"
            )
        )
    return lines


def _layers(rejector: Rejector) -> int:
    """Count the layers; what comes after is a combiner."""
    return len(getattr(rejector, "layers_", ()) or (getattr(rejector, "layer_", ""),))
