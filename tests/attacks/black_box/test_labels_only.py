"""Where an attack that reads nothing but classes begins, and what it takes for a success."""

import torch
from tests.attacks.asked import Asked, seeded, streams
from torch import Tensor, nn

from epsball.attacks.black_box.hopskipjump import hopskipjump
from epsball.attacks.black_box.labels_only import _noise
from epsball.geometry import size
from epsball.testing.problems import SHAPE, linear_problem


def test_noise_takes_turns() -> None:
    clean = torch.full((1, 1, 9, 9), 0.625)
    kinds = [_noise(clean, number, streams(1)).flatten().tolist() for number in range(34)]
    for noise in kinds[::2]:
        assert len(set(noise)) == len(noise)  # fine and grey
    assert min(len(set(noise)) for noise in kinds) <= 4  # patches of 8 x 8
    assert any(set(noise) == {0, 1} for noise in kinds)
    assert any(set(noise) == {0.3125, 0.8125} for noise in kinds)  # the image shines through


class Unsure(nn.Module):
    """Prefers every class but 0 by less than rounding, where an image is not the clean one."""

    def forward(self, inputs: Tensor) -> Tensor:
        lead = 1e-7 * ((inputs - 0.5).abs().flatten(1).amax(1) > 0.1).float()
        return torch.stack((torch.ones_like(lead), 1 - 1e-7 + 2 * lead), 1)


def test_a_lead_like_rounding_counts_where_there_is_no_other() -> None:
    inputs, labels = torch.full((2, *SHAPE), 0.5), torch.zeros(2, dtype=torch.int64)
    adversarial = hopskipjump(
        Unsure(), inputs, labels, norm="linf", queries=200, generator=seeded()
    )
    assert (Unsure()(adversarial).argmax(1) == 1).all()
    assert size(adversarial - inputs, "linf").max() < 0.15


class Bright(nn.Module):
    """Names class 1 where an image is dark all over, and class 0 for all else, plain noise too."""

    def forward(self, inputs: Tensor) -> Tensor:
        dark = (inputs.flatten(1).amax(1) < 0.9).float()
        return torch.stack((1 - dark, dark), 1)


def test_noise_of_many_kinds_finds_a_start() -> None:
    inputs = torch.rand((4, 1, 16, 16), generator=seeded()) * 0.5
    inputs[:, 0, 0, 0] = 1
    adversarial = hopskipjump(
        Bright(), inputs, torch.zeros(4, dtype=torch.int64), queries=200, generator=seeded()
    )
    assert (Bright()(adversarial).argmax(1) == 1).all()


def test_a_given_start_is_asked_first_and_noise_only_where_it_does_not_fool() -> None:
    plain, inputs, labels = linear_problem(0, classes=2)
    starts = inputs.clone()
    starts[:3] = 1 - inputs[:3]  # the model is linear about grey: that is the other class
    model = Asked(plain, 6)
    adversarial = hopskipjump(model, inputs, labels, starts=starts, queries=60, generator=seeded())
    assert (plain(adversarial).argmax(1) != labels).all()
    rows, points = model.shown[1]
    assert rows.tolist() == list(range(6))
    assert torch.equal(points, starts)
    rows, _ = model.shown[2]
    assert rows.tolist() == [3, 4, 5]
    near = size(adversarial[:3] - inputs[:3], "l2") / plain.distance(inputs, labels, "l2")[:3]
    assert near.max() < 3
