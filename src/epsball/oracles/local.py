"""Any classifier with everything but its labels removed."""

import torch
from torch import nn

from epsball.oracles.protocol import Ledger
from epsball.tensors import Classifier, Images, Labels
from epsball.types import ModelInfo


class LabelOnly:
    """Asks a classifier and returns only which class it names.

    Args:
        model: (n, c, h, w) in [0, 1] to scores (n, k); used in the mode it comes in.
        batch_size: images in one forward pass.

    Example:
        >>> oracle = LabelOnly(lambda images: images.flatten(1))
        >>> oracle(torch.tensor([[[[0.1, 0.9]]]])), oracle.ledger.paid
        (tensor([1]), 1)
    """

    def __init__(self, model: Classifier, *, batch_size: int = 256) -> None:
        self.model = model
        self.batch_size = batch_size
        self.paid = 0

    @property
    def ledger(self) -> Ledger:
        """Return what was asked so far."""
        return Ledger(self.paid)

    def __call__(self, images: Images) -> Labels:
        """Return labels, (n,), int64, on the device of images; a rejection counts as class k."""
        device = _device_of(self.model, images)
        with torch.no_grad():
            parts = torch.split(images.detach(), self.batch_size)
            labels = [self.model(part.to(device)).argmax(1).to(images.device) for part in parts]
        self.paid += len(images)
        return torch.cat(labels) if labels else torch.zeros(0, dtype=torch.int64)


def label_count(info: ModelInfo) -> int:
    """Return how many labels a label-only model has: rejection is one more."""
    return info.classes + info.rejects


def _device_of(model: Classifier, images: Images) -> torch.device:
    first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return images.device if first is None else first.device
