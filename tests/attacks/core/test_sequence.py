"""A sequence of attacks gives an image what it gives it alone."""

from typing import Any

import torch
from torch import Tensor, nn

from epsball.attacks.core.sequence import AttackSequence
from epsball.randomness import ImageStreams, uniform
from epsball.types import Search


def sequence_of(rows: list[int]) -> AttackSequence:
    inputs = torch.full((len(rows), 1, 2, 2), 0.5)
    streams = ImageStreams.of(rows, seed=0, purpose="test")
    model, labels = nn.Flatten(), torch.zeros(len(rows), dtype=torch.int64)
    return AttackSequence(model, inputs, labels, 0.1, "linf", None, streams, Search())


def test_an_attack_on_other_images_changes_no_draw() -> None:
    draws: list[Tensor] = []

    def drawing(_: Any, inputs: Tensor, __: Tensor, *, generator: Any, **___: Any) -> Tensor:
        draws.append(uniform(inputs, generator))
        return inputs

    whole, alone = sequence_of([0, 1]), sequence_of([1])
    whole.fooled = torch.tensor([False, False])  # four equal scores: the first class is given
    alone.fooled = torch.tensor([False])
    whole.run(drawing, torch.tensor([0]))
    alone.run(drawing, torch.tensor([], dtype=torch.int64))
    whole.run(drawing, torch.tensor([1]))
    alone.run(drawing, torch.tensor([0]))
    first, second, again = draws
    assert torch.equal(second, again)
    assert not torch.equal(first, second)
