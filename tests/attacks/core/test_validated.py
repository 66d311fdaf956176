"""Attacks called in Python: images, labels, radii and masks as people have them."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from epsball import attacks
from epsball.attacks import ATTACKS, AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import size
from epsball.randomness import ImageStreams
from epsball.types import Norm

_FEW = {"steps": 2, "queries": 20, "classes": 2}
_EPS: dict[Norm, float] = {"linf": 0.1, "l2": 0.5, "l1": 2.0, "l0": 3}
# an attack on boxes needs a model that shows them; its own file tests it
_ALL = [name for name, spec in ATTACKS.items() if not spec.needs_boxes]
_IN_A_BALL = [name for name in _ALL if ATTACKS[name].takes_norm]
_ENSEMBLES = ("strongest", "autoattack", "relaxation")  # whose parts run by default
_BUDGET = [
    pytest.param(name, marks=pytest.mark.slow if name in _ENSEMBLES else ())
    for name in _ALL
    if ATTACKS[name].takes_eps
]


def _model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 5)).eval()


def _images(count: int = 5, seed: int = 0) -> Tensor:
    return torch.rand((count, 3, 4, 4), generator=torch.Generator().manual_seed(seed))


def _given(spec: AttackSpec) -> dict[str, Any]:
    given: dict[str, Any] = {key: few for key, few in _FEW.items() if key in spec.knobs}
    if spec.takes_norm:
        given["norm"] = spec.norms[0]
    if spec.takes_eps:
        given["eps"] = _EPS[spec.norms[0]]
    return given | {"generator": torch.Generator().manual_seed(0)}


def _run(name: str, inputs: Tensor, labels: Tensor, **changed: Any) -> Tensor:
    spec = ATTACKS[name]
    return spec.attack(_model(), inputs, labels, **_given(spec) | changed)


@pytest.mark.parametrize("name", _ALL)
def test_images_outside_the_box_are_refused(name: str) -> None:
    labels = torch.arange(5)
    for odd, remedy in (
        (_images() * 255, "divide by 255"),
        ((_images() - 0.45) / 0.25, "undo the normalisation"),
        (_images() * torch.nan, "hold NaN"),
    ):
        with pytest.raises(InvalidInput, match=rf"inputs must lie in \[0, 1\].*{remedy}"):
            _run(name, odd, labels)
    with pytest.raises(InvalidInput, match="divide by 255"):
        _run(name, (_images() * 255).to(torch.uint8), labels)


def test_an_empty_batch_gives_an_empty_batch() -> None:
    for name in _ALL:
        adversarial = _run(name, _images(0), torch.zeros(0, dtype=torch.int64))
        assert adversarial.shape == (0, 3, 4, 4), name


@pytest.mark.parametrize("name", _ALL)
def test_half_precision_is_refused_with_a_remedy_that_works(name: str) -> None:
    labels = torch.arange(5)
    for dtype in (torch.float16, torch.bfloat16):
        with pytest.raises(InvalidInput, match=r"give inputs.float\(\)"):
            _run(name, _images().to(dtype), labels)
    spec, model = ATTACKS[name], _model().to(torch.bfloat16)
    inputs = _images().bfloat16().float()
    adversarial = spec.attack(lambda x: model(x.bfloat16()), inputs, labels, **_given(spec))
    assert bool(adversarial.isfinite().all())


@pytest.mark.parametrize("name", [name for name in _ALL if name != "noise"])
def test_labels_that_are_no_classes_are_refused(name: str) -> None:
    for odd in (-100, -1, 5):
        labels = torch.tensor([0, 1, odd, 3, 4])
        with pytest.raises(InvalidInput, match=f"labels must be .*, row 2 is {odd}; leave that"):
            _run(name, _images(), labels)
    keep = torch.tensor([0, 1, 3, 4])
    assert len(_run(name, _images()[keep], keep)) == 4


@pytest.mark.parametrize("name", _BUDGET)
def test_a_radius_may_be_written_in_every_form(name: str) -> None:
    eps, labels = _EPS[ATTACKS[name].norms[0]], torch.arange(5)
    expected = _run(name, _images(), labels, eps=eps)
    forms: tuple[object, ...] = (str(eps), [eps] * 5)
    if name == "pgd":  # the forms of numbers are read in one place, whatever the attack
        forms += (np.float64(eps), torch.tensor(eps).double())
    for form in forms:
        assert torch.equal(_run(name, _images(), labels, eps=form), expected)
    with pytest.raises(InvalidInput, match="one for each of 5 images, got 2"):
        _run(name, _images(), labels, eps=[eps, eps])
    with pytest.raises(InvalidInput, match="so write|or choose another norm"):
        _run(name, _images(), labels, eps=0.5 if ATTACKS[name].norms[0] == "l0" else 100)


@pytest.mark.parametrize("name", _BUDGET)
def test_each_image_may_have_a_radius_of_its_own(name: str) -> None:
    spec, labels, radii = ATTACKS[name], torch.arange(5), torch.tensor([0.1, 0.0, 0.3, 0.1, 0.2])
    norm = spec.norms[0]
    streams = ImageStreams.of(range(5), seed=0, purpose="test")
    adversarial = _run(name, _images(), labels, eps=radii, generator=streams)
    lengths = size((adversarial - _images()).double(), norm)
    assert bool((lengths <= radii + 1e-6).all())
    assert torch.equal(adversarial[1], _images()[1])
    rows = torch.tensor([0, 3])
    alone = ImageStreams.of([0, 3], seed=0, purpose="test")
    part = _run(name, _images()[rows], labels[rows], eps=0.1, generator=alone)
    assert torch.allclose(adversarial[rows], part, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in _ENSEMBLES else ())
        for name in _IN_A_BALL
    ],
)
def test_a_mask_says_what_may_change(name: str) -> None:
    labels = _model()(_images()).argmax(1)
    mask = torch.zeros(5, 1, 4, 4)
    mask[:, :, :2] = 1
    few = {"steps": 20} if ATTACKS[name].kind == "minimal" else {}
    adversarial = _run(name, _images(), labels, mask=mask, **few)
    assert torch.equal(adversarial[:, :, 2:], _images()[:, :, 2:])
    if name != "hopskipjump":  # twenty queries are few
        assert bool((adversarial[:, :, :2] != _images()[:, :, :2]).any())
    if ATTACKS[name].takes_eps:
        radii = torch.tensor([0.1, 0.2, 0.0, 0.1, 0.3])
        both = _run(name, _images(), labels, mask=mask, eps=radii)
        assert torch.equal(both[:, :, 2:], _images()[:, :, 2:])
        assert torch.equal(both[2], _images()[2])


@given(st.integers(0, 10**6), st.floats(0.01, 0.2), st.booleans())
@settings(deadline=None, max_examples=15)
def test_pgd_under_a_mask_reaches_the_best_point_of_the_free_entries(
    seed: int, eps: float, by_image: bool
) -> None:
    """Two classes and a linear model: the best point is a corner of the ball in what is free."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer, inputs = nn.Linear(48, 2), torch.rand(3, 3, 4, 4)
        mask = torch.rand(3, 3, 4, 4) < 0.5
    mask = mask if by_image else mask[:1].expand(3, -1, -1, -1)
    labels = torch.tensor([0, 1, 0])
    model, weight = nn.Sequential(nn.Flatten(), layer), layer.weight.detach()
    rise = torch.stack([(weight[1 - y] - weight[y]).view(3, 4, 4) for y in labels])
    best = torch.where(mask, (inputs + eps * rise.sign()).clamp(0, 1), inputs)
    adversarial = attacks.pgd(model, inputs, labels, eps=eps, steps=20, mask=mask)
    lead = [(rise * point).flatten(1).sum(1) for point in (adversarial, best)]
    assert torch.allclose(lead[0], lead[1], atol=1e-4)


def test_a_mask_that_says_nothing_is_refused() -> None:
    labels = torch.arange(5)
    with pytest.raises(InvalidInput, match="mask is for attacks in a ball"):
        _run("spatial", _images(), labels, mask=torch.ones(3, 4, 4))
    with pytest.raises(InvalidInput, match=r"broadcast to the images \(5, 3, 4, 4\), got \(3, 3"):
        _run("pgd", _images(), labels, mask=torch.ones(3, 3, 4))
    with pytest.raises(InvalidInput, match="0 and 1 only"):
        _run("pgd", _images(), labels, mask=torch.full((3, 4, 4), 0.5))


def test_counts_of_numpy_and_torch_are_taken_and_halves_are_refused() -> None:
    labels = torch.arange(5)
    expected = _run("pgd", _images(), labels, steps=3)
    for form in (np.int64(3), torch.tensor(3), 3.0):
        assert torch.equal(_run("pgd", _images(), labels, steps=form), expected)
    with pytest.raises(InvalidInput, match="steps must be a whole number, got 2.5"):
        _run("pgd", _images(), labels, steps=2.5)


def test_what_is_no_tensor_is_refused_with_a_remedy_that_works() -> None:
    images, labels = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 0])

    def model(inputs: Tensor) -> Tensor:
        return inputs.flatten(1)

    def call(inputs: Any, classes: Any, **named: Any) -> Tensor:
        return attacks.pgd(model, inputs, classes, eps=0.1, steps=1, **named)

    with pytest.raises(InvalidInput, match=r"inputs must be a tensor .* torch\.as_tensor of it"):
        call(images.numpy(), labels)
    with pytest.raises(InvalidInput, match=r"labels must be a tensor of shape \(3,\), got list"):
        call(images, labels.tolist())
    with pytest.raises(InvalidInput, match=r"got int; give torch\.full\(\(3,\), 2\)$"):
        call(images, labels, targets=2)
    assert call(images, torch.as_tensor(labels.tolist())).shape == images.shape
    assert call(torch.as_tensor(images.numpy()), labels, targets=torch.full((3,), 2)).shape
