"""Maximum softmax probability: the smallest rejector."""

import torch
from torch import Tensor

from epsball.defences.base.images import ImageSet
from epsball.defences.base.model import base_scores
from epsball.defences.base.rejector import Rejector
from epsball.tensors import Images


class MaxSoftmax(Rejector):
    """Reject where the model's own most probable class is not probable enough.

    Args:
        model: gives logits (n, k), in eval mode.
        threshold: the probability below which an image is rejected, in (0, 1); 0.9 where neither
            this nor false_rejection is given.
        false_rejection: instead of the threshold: the share of clean images to be rejected.
        batch_size: images a forward pass while fitting.

    Source: Hendrycks and Gimpel 2017, arXiv:1610.02136. Columns are the log-odds of the softmax
        probabilities, z_i - logsumexp of the others, which do not saturate.

    Example:
        >>> model = torch.nn.Flatten().eval()
        >>> images, labels = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]]), torch.tensor([0, 1])
        >>> rejector = MaxSoftmax(model, threshold=0.7).fit(images, labels)
        >>> rejector(torch.tensor([[[[0.9, 0.0]]], [[[0.4, 0.5]]]])).argmax(1)
        tensor([0, 2])
    """

    name = "msp"
    gives = "log-odds"

    def _learn(self, images: ImageSet, labels: Tensor, classes: int) -> None:
        """Learn nothing: the threshold is all there is."""

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        columns = softmax_log_odds(base_scores(self.model, inputs))
        return columns, columns.amax(1)


def softmax_log_odds(logits: Tensor) -> Tensor:
    """Return log(p / (1 - p)) of every softmax probability of logits (n, k), without saturation.

    Example:
        >>> softmax_log_odds(torch.tensor([[200.0, 0.0]])).tolist()
        [[200.0, -200.0]]
    """
    best = torch.zeros_like(logits, dtype=torch.bool).scatter(1, logits.argmax(1, keepdim=True), 1)
    first = logits - logits.masked_fill(best, -torch.inf).logsumexp(1, keepdim=True)
    # of the other classes none has more than half, so 1 - p is no difference of near equals; the
    # best class's own value is replaced before it can turn a gradient into NaN
    log_p = logits.log_softmax(1).masked_fill(best, -1.0)
    return torch.where(best, first, log_p - torch.log1p(-log_p.exp()))
