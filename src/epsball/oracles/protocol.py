"""The contract of an oracle, and an oracle as a classifier for decision-based attacks."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from epsball.errors import BrokenContract
from epsball.tensors import Images, Labels, Logits
from epsball.types import ModelInfo


@dataclass(frozen=True)
class Ledger:
    """What was asked of an oracle.

    Args:
        paid: images that the oracle was asked about, each request counted once.
        cached: images that were answered from earlier answers, at no cost.
        resent: images whose answer was lost and that were sent again under the same key. An oracle
            that ignores the header Idempotency-Key may have counted them twice.
    """

    paid: int
    cached: int = 0
    resent: int = 0


@runtime_checkable
class Oracle(Protocol):
    """Anything that maps images (n, c, h, w) in [0, 1] to labels (n,), and counts the images."""

    @property
    def ledger(self) -> Ledger:
        """Return what was asked so far."""
        ...

    def __call__(self, images: Images, /) -> Labels:
        """Return labels, (n,), int64."""
        ...


class OracleClassifier(nn.Module):
    """An oracle as a classifier whose scores are 1 for the label and 0 for all other classes.

    Args:
        oracle: the oracle.
        classes: k; a label outside [0, k) raises BrokenContract.
    """

    def __init__(self, oracle: Oracle, classes: int) -> None:
        super().__init__()
        self.oracle = oracle
        self.info = ModelInfo(classes=classes, gives="labels", differentiable=False)
        self.eval()

    def forward(self, images: Images) -> Logits:
        """Return one-hot scores, (n, k)."""
        labels = check_labels(self.oracle(images.detach()), len(images), self.info.classes)
        scores: Logits = one_hot(labels, self.info.classes).to(images)
        return scores


def check_labels(labels: Tensor, images: int, classes: int) -> Labels:
    """Return labels that are one class each.

    Raises:
        BrokenContract: another number of labels, no integers, or a label outside [0, classes).
    """
    if labels.shape != (images,) or labels.dtype != torch.int64:
        raise BrokenContract(
            f"the oracle must return one int64 label an image, got {labels.dtype} of shape "
            f"{tuple(labels.shape)} for {images} images"
        )
    out_of_range = (labels < 0) | (labels >= classes)
    if bool(out_of_range.any()):
        raise BrokenContract(
            f"the oracle returned label {int(labels[out_of_range][0])}, labels must be in "
            f"[0, {classes}): give data with the oracle's classes, or in Python their number"
        )
    return labels
