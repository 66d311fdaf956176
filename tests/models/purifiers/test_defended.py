"""A model behind a preprocessing defence: still a classifier, and it says how it is broken."""

import pytest
import torch
from torch import Tensor, nn

from epsball.models import fingerprint, probe
from epsball.models.purifiers.bit_depth import BitDepth
from epsball.models.purifiers.defended import defended
from epsball.models.purifiers.jpeg import JpegCompression
from epsball.models.purifiers.random_resizing import RandomResizing
from epsball.models.purifiers.smoothing import Smoothing
from epsball.models.purifiers.table import defence_named
from epsball.types import ModelInfo


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()


def test_a_defended_model_is_the_model_of_washed_images() -> None:
    model, step, inputs = linear(), BitDepth(bits=2), images(4, 1, 8, 8)
    both = defended(model, step)
    assert torch.equal(both(inputs), model(step(inputs)))
    assert getattr(both, "info", None) is None
    info = ModelInfo(2, rejects=True)
    model.info = info  # type: ignore[assignment]  # modules take any attribute
    assert defended(model, step).info == info
    assert torch.equal(defended(lambda x: x.flatten(1), step)(inputs), step(inputs).flatten(1))


@pytest.mark.parametrize("train", [True, False])
def test_mode_is_the_models(train: bool) -> None:
    model = linear().train(train)
    both = defended(model, JpegCompression())
    assert both.training is train
    assert all(part.training is train for part in model.modules())
    relaxed = both.relaxed()
    assert [part.training for part in relaxed.modules()].count(True) == train * 4


def test_remedies_are_those_of_all_steps() -> None:
    inner = defended(linear(), RandomResizing())
    assert inner.remedies == {"expectation"}
    assert defended(inner, Smoothing()).remedies == {"expectation"}
    assert defended(inner, BitDepth()).remedies == {"expectation", "bpda"}
    assert defended(linear(), Smoothing()).remedies == set()
    assert defended(linear(), torch.tanh).remedies == set()


def test_the_relaxed_twin_has_the_same_scores_and_a_gradient() -> None:
    model = linear()
    both = defended(defended(model, JpegCompression(quality=30)), BitDepth(bits=2))
    point = images(4, 1, 8, 8).requires_grad_()
    scores = both.relaxed()(point)
    assert torch.equal(scores, both(point))
    (gradient,) = torch.autograd.grad(scores.sum(), point)
    weight = model.state_dict()["1.weight"]
    assert torch.allclose(gradient.flatten(1), weight.sum(0).expand(4, -1), atol=1e-6)
    assert not probe(both, point).differentiable
    assert probe(both.relaxed(), point).differentiable


def test_a_random_step_is_drawn_once_also_in_the_twin() -> None:
    both = defended(linear(), RandomResizing(smallest=0.5))
    inputs = images(2, 1, 8, 8)
    torch.manual_seed(3)
    scores = both(inputs)
    torch.manual_seed(3)
    assert torch.equal(both.relaxed()(inputs.requires_grad_()), scores)


def test_settings_are_part_of_what_the_model_is() -> None:
    model = linear()
    names = ["jpeg", "jpeg:quality=74", "bit-depth", "smoothing", "smoothing:kind=gaussian"]
    marks = {fingerprint(defended(model, defence_named(name))) for name in names}
    assert len(marks) == len(names)
    assert fingerprint(defended(linear(), defence_named("jpeg"))) in marks
