"""Refusals of attacks called in Python: their remedies work."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.remedies.case import Case, follow
from torch import Tensor, nn

from epsball.attacks import (
    ATTACKS,
    bpda,
    ensemble,
    expectation,
    fgsm,
    over_targets,
    patch,
    pgd,
    rejection,
    spatial,
    square,
)

NET = nn.Sequential(nn.Flatten(), nn.Linear(48, 4)).eval()
LAST = nn.Linear(48, 1)
BINARY = nn.Sequential(nn.Flatten(), LAST).eval()
nn.init.constant_(LAST.bias, -5.0)  # so that its output is seen to be no probability
IMAGES, LABELS = torch.rand(3, 3, 4, 4), torch.tensor([0, 1, 2])


def _pgd(
    images: Tensor = IMAGES, labels: Tensor = LABELS, model: Any = NET, **given: Any
) -> Tensor:
    return pgd(model, images, labels, **{"eps": 0.1, "steps": 2} | given)


def _blocked(inputs: Tensor) -> Tensor:
    with torch.no_grad():
        scores: Tensor = NET(inputs)
    return scores


def _binary(inputs: Tensor) -> Tensor:
    z: Tensor = BINARY(inputs)
    return torch.cat([torch.zeros_like(z), z], dim=1)


CASES = [
    Case(
        "bytes",
        lambda _: _pgd((IMAGES * 255).byte()),
        "divide by 255",
        lambda _: _pgd((IMAGES * 255).byte() / 255),
    ),
    Case(
        "levels", lambda _: _pgd(IMAGES * 255), "divide by 255", lambda _: _pgd(IMAGES * 255 / 255)
    ),
    Case(
        "half precision",
        lambda _: _pgd(IMAGES.half()),
        "give inputs.float()",
        lambda _: _pgd(IMAGES.half().float()),
    ),
    Case(
        "a label that is no class",
        lambda _: _pgd(labels=torch.tensor([0, 1, 4])),
        "leave that row out",
        lambda _: _pgd(IMAGES[:2], torch.tensor([0, 1])),
    ),
    Case("eps 8", lambda _: _pgd(eps=8), "8/255", lambda _: _pgd(eps="8/255")),
    Case(
        "negative eps",
        lambda _: _pgd(eps=-1.0),
        "such as 0.1 or 8/255",
        lambda _: _pgd(eps="8/255"),
    ),
    Case("no steps", lambda _: _pgd(steps=0), "steps must be >= 1", lambda _: _pgd(steps=1)),
    Case("half a step", lambda _: _pgd(steps=2.5), "a whole number", lambda _: _pgd(steps=2)),
    Case(
        "step size 0",
        lambda _: _pgd(step_size=0.0),
        "step_size must be > 0",
        lambda _: _pgd(step_size=0.01),
    ),
    Case(
        "eps of two",
        lambda _: _pgd(eps=torch.tensor([0.1, 0.2])),
        "a tensor of shape (3,)",
        lambda _: _pgd(eps=torch.tensor([0.1, 0.2, 0.3])),
    ),
    Case(
        "a soft mask",
        lambda _: _pgd(mask=torch.full((4, 4), 0.5)),
        "threshold it",
        lambda _: _pgd(mask=torch.full((4, 4), 0.5) > 0.4),
    ),
    Case(
        "a mask of another size",
        lambda _: _pgd(mask=torch.ones(5, 5)),
        "give (c, h, w)",
        lambda _: _pgd(mask=torch.ones(3, 4, 4)),
    ),
    Case(
        "a mask without a ball",
        lambda _: spatial(NET, IMAGES, LABELS, mask=torch.ones(4, 4)),
        "such as pgd",
        lambda _: _pgd(mask=torch.ones(3, 4, 4)),
    ),
    Case(
        "targets that are labels",
        lambda _: _pgd(targets=torch.tensor([0, 2, 1])),
        "leave that row out",
        lambda _: _pgd(IMAGES[1:], LABELS[1:], targets=torch.tensor([2, 1])),
    ),
    Case("no gradient", lambda _: _pgd(model=_blocked), "remove torch.no_grad()", lambda _: _pgd()),
    Case(
        "no gradient, other attack",
        lambda _: fgsm(_blocked, IMAGES, LABELS, eps=0.1),
        "square",
        lambda _: square(_blocked, IMAGES, LABELS, eps=0.1, queries=5),
    ),
    Case(
        "a model of one class",
        lambda _: over_targets(pgd)(BINARY, IMAGES, LABELS * 0, eps=0.1),
        "torch.cat([torch.zeros_like(z), z], dim=1)",
        lambda _: over_targets(pgd)(_binary, IMAGES, LABELS * 0, eps=0.1, steps=2),
    ),
    Case(
        "given reference without targets",
        lambda _: fgsm(NET, IMAGES, LABELS, eps=0.1, reference="given"),
        "pass targets",
        lambda _: fgsm(NET, IMAGES, LABELS, eps=0.1, reference="given", targets=3 - LABELS * 0),
    ),
    Case("an ensemble of none", lambda _: ensemble([]), "at least one", lambda _: ensemble([NET])),
    Case(
        "no draws",
        lambda _: expectation(NET, samples=0),
        "samples must be >= 1",
        lambda _: expectation(NET, samples=1),
    ),
    Case(
        "no queries",
        lambda _: square(NET, IMAGES, LABELS, eps=0.1, queries=0),
        "the clean image alone takes one",
        lambda _: square(NET, IMAGES, LABELS, eps=0.1, queries=1),
    ),
    Case(
        "eps to a nearest attack",
        lambda _: ATTACKS["deepfool"].attack(NET, IMAGES, LABELS, eps=0.1),
        "with a budget such as pgd",
        lambda _: _pgd(),
    ),
    Case(
        "rejection of fixed size",
        lambda _: rejection(NET, IMAGES, LABELS, eps=0.1, gradient="l2"),
        "give a step_size",
        lambda _: rejection(NET, IMAGES, LABELS, eps=0.1, gradient="l2", step_size=0.01, steps=2),
    ),
    Case(
        "a patch of nothing",
        lambda _: patch(NET, IMAGES, LABELS, share=0.0),
        "above 0 and at most 1",
        lambda _: patch(NET, IMAGES, LABELS, share=0.2, steps=1),
    ),
    Case(
        "a stand-in of another shape",
        lambda _: _pgd(model=nn.Sequential(bpda(lambda x: x, lambda x: x[:, :1]), NET)),
        "backward= of the same shape",
        lambda _: _pgd(model=nn.Sequential(bpda(lambda x: x, lambda x: x * 1), NET)),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_remedy_works(case: Case, tmp_path: Path) -> None:
    follow(case, tmp_path)
