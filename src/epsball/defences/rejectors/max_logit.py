"""Max-logit: the largest score, before softmax."""

from torch import Tensor

from epsball.defences.base.images import ImageSet
from epsball.defences.base.model import base_scores
from epsball.defences.base.rejector import Rejector
from epsball.tensors import Images


class MaxLogit(Rejector):
    """Reject where no logit is large.

    Softmax hides how large logits are: two classes that are both likely make its largest
    probability small, and two that are both unlikely may make it large.

    Args:
        model: gives logits (n, k), in eval mode.
        threshold: the score below which an image is rejected.
        false_rejection: instead of the threshold: the share of clean images to be rejected; 0.05
            where neither is given.
        batch_size: images a forward pass while fitting.

    Source: Hendrycks et al. 2022, arXiv:1911.11132, section 3.2.

    Example:
        >>> import torch
        >>> model = torch.nn.Flatten().eval()
        >>> images, labels = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]]), torch.tensor([0, 1])
        >>> rejector = MaxLogit(model, threshold=0.5).fit(images, labels)
        >>> rejector(torch.tensor([[[[0.9, 0.8]]], [[[0.1, 0.0]]]])).argmax(1)
        tensor([0, 2])
    """

    name = "max-logit"
    gives = "logits"

    def _learn(self, image_set: ImageSet, labels: Tensor, classes: int) -> None:
        """Learn nothing: the threshold is all there is."""

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        logits = base_scores(self.model, inputs)
        return logits, logits.amax(1)
