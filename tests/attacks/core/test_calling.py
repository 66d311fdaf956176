"""Calls of attacks that are not as their signature says, and models that write on inputs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from epsball import attacks
from epsball.attacks import ATTACKS
from epsball.errors import InvalidInput

_FEW = {"steps": 2, "queries": 20, "classes": 2}
_EPS = {"linf": 0.1, "l2": 0.5, "l1": 2.0, "l0": 3}
# an attack on boxes needs a model that shows them; ensembles are made of the others
_ALONE = [
    name
    for name, spec in ATTACKS.items()
    if not spec.needs_boxes and name not in ("strongest", "autoattack", "relaxation")
]
_OF_IMAGES = (
    *("autoattack", "boxes", "corruptions", "hopskipjump", "patch", "spatial", "spsa", "square"),
    *("strongest", "transfer"),
)
images = torch.rand((5, 3, 4, 4), generator=torch.Generator().manual_seed(0))
labels = torch.arange(5)


def _linear() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 5)).eval()


class _InPlace(nn.Module):
    """Scales what it is given in place, as hand-written preprocessing does."""

    def __init__(self) -> None:
        super().__init__()
        self.net = _linear()

    def forward(self, inputs: Tensor) -> Tensor:
        inputs -= 0.25
        return self.net(inputs.mul_(2))  # type: ignore[no-any-return]  # of a module


class _Outside(nn.Module):
    """The same, on a tensor of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.net = _linear()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net((inputs - 0.25) * 2)  # type: ignore[no-any-return]  # of a module


def _run(name: str, model: nn.Module, inputs: Tensor, classes: Tensor, **more: Any) -> Tensor:
    spec = ATTACKS[name]
    named: dict[str, Any] = {key: few for key, few in _FEW.items() if key in spec.knobs}
    named |= {"norm": spec.norms[0]} if spec.takes_norm else {}
    named |= {"eps": _EPS[spec.norms[0]]} if spec.takes_eps else {}
    generator = torch.Generator().manual_seed(0)
    return spec.attack(model, inputs, classes, generator=generator, **named | more)


@pytest.mark.parametrize("name", _ALONE)
def test_a_model_that_works_in_place_changes_neither_images_nor_results(name: str) -> None:
    given = images.clone()
    adversarial = _run(name, _InPlace(), given, labels)
    assert torch.equal(given, images)
    assert torch.equal(adversarial, _run(name, _Outside(), images, labels))


@pytest.mark.parametrize("name", _ALONE)
def test_tensors_and_callers_in_inference_mode(name: str) -> None:
    model = _linear()
    expected = _run(name, model, images, labels)
    with torch.inference_mode():
        frozen, classes = images.clone(), labels.clone()
        inside = _run(name, model, frozen, classes)
    outside = _run(name, model, frozen, classes)
    for adversarial in (inside, outside):
        assert torch.equal(adversarial, expected)
        assert not adversarial.is_inference()


def test_arguments_are_named_as_they_are_called() -> None:
    model: Any = _linear()
    pgd: Any = attacks.pgd
    with pytest.raises(InvalidInput, match=r"got 0\.1 as a fourth: write eps=0\.1, say"):
        pgd(model, images, labels, 0.1)
    with pytest.raises(InvalidInput, match="unknown argument of pgd 'epsilon': did you mean 'eps'"):
        pgd(model, images, labels, epsilon=0.1)
    with pytest.raises(InvalidInput, match=r"got 7; give torch\.Generator\(\)\.manual_seed\(7\)"):
        pgd(model, images, labels, eps=0.1, generator=7)
    with pytest.raises(InvalidInput, match="takes no eps, got 0.1"):
        attacks.deepfool(model, images, labels, eps=0.1)


@pytest.mark.parametrize(
    ("inputs", "classes", "told"),
    [
        (images[0], labels[:3], r"one image needs inputs\[None\]"),
        (images.to_sparse(), labels, r"give inputs\.to_dense\(\)"),
        (images.to("meta"), labels, "on the meta device; read the images"),
        (images, labels.int(), r"give labels\.long\(\)"),
        (images, labels > 1, r"give labels\.long\(\)"),
        (images, torch.eye(5), r"give labels\.argmax\(1\) of one-hot rows"),
        (images, labels[:2], "give one class for each image"),
    ],
)
def test_other_images_and_labels_are_refused_with_a_remedy(
    inputs: Tensor, classes: Tensor, told: str
) -> None:
    for name in ("pgd", "square"):
        with pytest.raises(InvalidInput, match=told):
            _run(name, _linear(), inputs, classes)


def test_the_remedies_for_images_and_labels_work() -> None:
    model = _linear()
    expected = _run("square", model, images, labels)
    assert torch.equal(_run("square", model, images.to_sparse().to_dense(), labels), expected)
    assert torch.equal(_run("square", model, images, torch.eye(5).argmax(1)), expected)
    vectors = images.flatten(1)[:, None, None]
    flat: Any = model[1]  # type: ignore[index]  # a Sequential
    assert _run("square", lambda x: flat(x.flatten(1)), vectors, labels).shape == vectors.shape  # type: ignore[arg-type]  # a callable


@pytest.mark.parametrize("name", ATTACKS)
def test_vectors_are_attacked_as_images_of_one_row_or_refused(name: str) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(6, 3).eval()
    vectors = torch.rand(5, 6)
    labels = plain(vectors).argmax(1)
    spec = ATTACKS[name]
    options: dict[str, Any] = {"eps": 0.2} if spec.takes_eps else {}
    if spec.takes_norm:
        options["norm"] = spec.norms[0]
    if spec.random:
        options["generator"] = torch.Generator().manual_seed(0)
    if name in _OF_IMAGES:
        with pytest.raises(InvalidInput, match=r"as lambda x: model\(x\.flatten\(1\)\)"):
            spec.attack(plain, vectors, labels, **options)
        return
    attacked = spec.attack(plain, vectors, labels, **options)
    if spec.random:
        options["generator"] = torch.Generator().manual_seed(0)
    rows = spec.attack(lambda x: plain(x.flatten(1)), vectors.view(5, 1, 1, 6), labels, **options)
    torch.testing.assert_close(attacked, rows.view(5, 6))
