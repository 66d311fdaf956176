"""On a linear model the gradient of each scale is known in closed form."""

import pytest
import torch
from torch import Tensor

from epsball.attacks import bim, fgsm
from epsball.attacks.gradient.sign_family import Direction, Scale
from epsball.errors import InvalidInput

WEIGHTS = torch.tensor([[1.0, -2.0, 0.0], [0.0, 1.0, -1.0], [3.0, 1.0, 1.0]])
INPUTS = torch.tensor([[[[0.4, 0.5, 0.6]]]])
LABELS = torch.tensor([0])


def model(images: Tensor) -> Tensor:
    return images.flatten(1) @ WEIGHTS.T


def gradient(scale: Scale) -> Tensor:
    probability = model(INPUTS).softmax(1)[0]
    weights = WEIGHTS[0]
    if scale == "logit":
        return weights
    along = weights - probability @ WEIGHTS
    return along if scale == "log-softmax" else probability[0] * along


@pytest.mark.parametrize("scale", ["log-softmax", "softmax", "logit"])
@pytest.mark.parametrize("direction", ["ascent", "descent"])
def test_a_raw_step_follows_the_gradient_of_the_scale(scale: Scale, direction: Direction) -> None:
    length = 0.01
    moved = fgsm(
        model, INPUTS, LABELS, eps=length, norm="l2", gradient="l2", scale=scale,
        direction=direction,
    )  # fmt: skip
    slope = gradient(scale) * (-1 if direction == "ascent" else 1)
    expected = INPUTS.flatten() + length * slope / slope.norm()
    assert torch.allclose(moved.flatten(), expected, atol=1e-6)


def test_one_step_of_bim_is_fgsm_on_every_scale() -> None:
    scales: tuple[Scale, ...] = ("softmax", "logit")
    for scale in scales:
        one = bim(model, INPUTS, LABELS, eps=0.1, steps=1, step_size=0.1, scale=scale)
        assert torch.allclose(one, fgsm(model, INPUTS, LABELS, eps=0.1, scale=scale))


def test_a_certain_softmax_has_no_gradient() -> None:
    def certain(images: Tensor) -> Tensor:
        return 1000 * model(images)

    moved = fgsm(certain, INPUTS, torch.tensor([2]), eps=0.1, scale="softmax")
    assert torch.equal(moved, INPUTS)
    assert not torch.equal(fgsm(certain, INPUTS, torch.tensor([2]), eps=0.1, scale="logit"), INPUTS)


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown scale 'logits': did you mean 'logit'"):
        fgsm(model, INPUTS, LABELS, eps=0.1, scale="logits")
