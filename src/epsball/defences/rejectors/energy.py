"""Energy: the log of the sum of all exponentiated logits."""

import torch
from torch import Tensor

from epsball.defences.base.checks import check_above_zero
from epsball.defences.base.images import ImageSet
from epsball.defences.base.model import base_scores
from epsball.defences.base.rejector import Rejector
from epsball.errors import InvalidInput
from epsball.tensors import Classifier, Images

_NOTHING = 1e-4  # what logsumexp of log-probabilities differs from 0 by, in float32


class Energy(Rejector):
    """Reject where the free energy of the model's logits is high, as it is where all are low.

    The score is minus the energy, temperature * logsumexp(logits / temperature).

    Args:
        model: gives logits (n, k), in eval mode.
        temperature: above 0; near 0 the score is the largest logit.
        threshold: the score below which an image is rejected.
        false_rejection: instead of the threshold: the share of clean images to be rejected; 0.05
            where neither is given.
        batch_size: images a forward pass while fitting.

    Source: Liu et al. 2020, arXiv:2010.03759, section 3, without their fine-tuning.

    Example:
        >>> model = torch.nn.Flatten().eval()
        >>> images, labels = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]]), torch.tensor([0, 1])
        >>> rejector = Energy(model, threshold=1.0).fit(images, labels)
        >>> rejector(torch.tensor([[[[0.9, 0.1]]], [[[0.1, 0.0]]]])).argmax(1)
        tensor([0, 2])
    """

    name = "energy"
    gives = "logits"

    def __init__(
        self,
        model: Classifier,
        *,
        temperature: float = 1.0,
        threshold: float | None = None,
        false_rejection: float | None = None,
        batch_size: int = 256,
    ) -> None:
        super().__init__(
            model, threshold=threshold, false_rejection=false_rejection, batch_size=batch_size
        )
        check_above_zero(self.name, "temperature", temperature)
        self.temperature = temperature

    def _learn(self, images: ImageSet, labels: Tensor, classes: int) -> None:  # noqa: ARG002 - theirs
        """Learn nothing, but refuse a model whose scores have no energy."""
        with torch.no_grad():
            sums = base_scores(self.model, next(iter(images))).logsumexp(1)
        if bool((sums.abs() < _NOTHING).all()):
            raise InvalidInput(
                f"{self.name}: needs a model that gives logits, this one seems to give "
                "log-probabilities, whose energy is always 0; leave the log-softmax out of it"
            )

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        logits = base_scores(self.model, inputs)
        return logits, self.temperature * (logits / self.temperature).logsumexp(1)
