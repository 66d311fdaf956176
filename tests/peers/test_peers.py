"""The same trained model, images and budget under two other libraries. Run by make test-slow."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epsball import load_data
from epsball.attacks import fgsm, pgd
from epsball.data import to_unit
from epsball.models import load_model
from epsball.training import default_settings, fresh_weights, train

# torchattacks imports torchvision
pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.usefixtures("torchvision"),
    pytest.mark.filterwarnings("ignore"),  # theirs, about Python versions and the like
]
EPS = (0.05, 0.1, 0.15)
STEPS = 40


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Tensor, Tensor]:
    """A base-cnn trained on digits, and its test images."""
    data = load_data("digits", split="train")
    with fresh_weights(0):
        model = load_model("zoo:base-cnn", require_weights=False).model
    assert isinstance(model, nn.Module)
    settings = default_settings("zoo:base-cnn", len(data), epochs=8)
    train(model, data, settings, out=tmp_path_factory.mktemp("run"))
    test = load_data("digits")
    return model, to_unit(test.read(np.arange(len(test)))), torch.from_numpy(test.labels)


def accuracy(model: nn.Module, adv: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return 100 * float((model(adv).argmax(1) == labels).double().mean())


Attack = Callable[[nn.Module, Tensor, Tensor, float], Tensor]


def foolbox_attack(name: str, **settings: Any) -> Attack:
    foolbox = pytest.importorskip("foolbox")

    def run(model: nn.Module, inputs: Tensor, labels: Tensor, eps: float) -> Tensor:
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        attack = getattr(foolbox.attacks, name)(**settings)
        adv: Tensor = attack(wrapped, inputs, labels, epsilons=eps)[1]
        return adv

    return run


def torchattacks_attack(name: str, **settings: Any) -> Attack:
    torchattacks = pytest.importorskip("torchattacks")

    def run(model: nn.Module, inputs: Tensor, labels: Tensor, eps: float) -> Tensor:
        steps = {"alpha": 2.5 * eps / STEPS} if settings else {}
        adv: Tensor = getattr(torchattacks, name)(model, eps=eps, **settings, **steps)(
            inputs, labels
        )
        return adv.detach()

    return run


FGSM = {
    "foolbox": lambda: foolbox_attack("LinfFastGradientAttack"),
    "torchattacks": lambda: torchattacks_attack("FGSM"),
}
PGD = {
    "foolbox": lambda: foolbox_attack("LinfPGD", steps=STEPS, rel_stepsize=2.5 / STEPS),
    "torchattacks": lambda: torchattacks_attack("PGD", steps=STEPS),
}


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("peer", FGSM)
def test_fgsm_is_theirs(subject: tuple[nn.Module, Tensor, Tensor], peer: str, eps: float) -> None:
    model, inputs, labels = subject
    ours = accuracy(model, fgsm(model, inputs, labels, eps=eps), labels)
    theirs = accuracy(model, FGSM[peer]()(model, inputs, labels, eps), labels)
    tell(f"fgsm eps {eps}: ours {ours:.2f} %, {peer} {theirs:.2f} %")
    assert abs(ours - theirs) <= 1


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("peer", PGD)
def test_pgd_is_no_weaker(subject: tuple[nn.Module, Tensor, Tensor], peer: str, eps: float) -> None:
    model, inputs, labels = subject
    generator = torch.Generator().manual_seed(0)
    adv = pgd(model, inputs, labels, eps=eps, steps=STEPS, generator=generator)
    ours = accuracy(model, adv, labels)
    theirs = accuracy(model, PGD[peer]()(model, inputs, labels, eps), labels)
    tell(f"pgd-{STEPS} eps {eps}: ours {ours:.2f} %, {peer} {theirs:.2f} %")
    assert ours <= theirs + 1


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
