"""The largest logit is the score, and it is not the largest probability."""

import torch
from torch import Tensor, nn

from epsball.defences import MaxLogit


def test_two_likely_classes_are_accepted_and_two_unlikely_ones_are_not() -> None:
    model = nn.Flatten().eval()
    images: Tensor = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
    rejector = MaxLogit(model, threshold=0.5).fit(images, torch.tensor([0, 1]))
    queries = torch.tensor([[[[0.9, 0.8]]], [[[0.4, 0.0]]]])
    assert queries.flatten(1).softmax(1).amax(1).argmax() == 1  # softmax trusts the second one more
    assert rejector(queries).argmax(1).tolist() == [0, 2]
