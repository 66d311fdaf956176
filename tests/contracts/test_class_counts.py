"""Every attack works with as few classes as two and as many as a thousand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import ATTACKS, AttackSpec
from epsball.errors import EpsballError
from epsball.objectives import is_adversarial
from epsball.testing.calls import call, seeded
from epsball.testing.cases import contract_norms
from epsball.testing.problems import SHAPE

SHORT = {"steps": 15, "searches": 3, "classes": 3, "angles": 3, "shifts": 3}
# what finds no way here, and may: blind moves and views that are not adversarial for 24 numbers
MAY_FAIL = ("noise", "spatial", "corruptions")


class ManyClasses(nn.Module):
    """A linear model of many classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(classes)
        self.weight = nn.Parameter(torch.randn((classes, 24), generator=generator))

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = (inputs - 0.5).flatten(1) @ self.weight.T
        return scores


@pytest.mark.parametrize(
    "classes",
    [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(1000, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", [n for n, s in ATTACKS.items() if not s.needs_boxes])
def test_any_number_of_classes_above_one(name: str, classes: int) -> None:
    spec, model = ATTACKS[name], ManyClasses(classes)
    generator = torch.Generator().manual_seed(1)
    inputs = 0.5 + 0.05 * torch.randn((4, *SHAPE), generator=generator)
    labels = model(inputs).argmax(1)
    settings: dict[str, Any] = {key: value for key, value in SHORT.items() if key in spec.knobs}
    for norm in contract_norms(spec):
        eps = {"linf": 0.3, "l2": 1.5, "l1": 4.0}.get(norm, 5)
        adversarial = call(
            spec, model, inputs, labels, eps=eps, norm=norm, generator=seeded(), **settings
        )
        assert adversarial.shape == inputs.shape
        assert 0 <= float(adversarial.min()) <= float(adversarial.max()) <= 1
        if name not in MAY_FAIL:
            success = is_adversarial(model(adversarial), labels)
            assert int(success.sum()) >= 2, (name, norm, classes)
    if name != "noise" and classes == 3:
        _one_class_is_refused(spec)


def _one_class_is_refused(spec: AttackSpec) -> None:
    def single(inputs: Tensor) -> Tensor:
        return inputs.flatten(1)[:, :1]

    inputs, labels = torch.rand((2, *SHAPE)), torch.zeros(2, dtype=torch.int64)
    norm = contract_norms(spec)[0]
    with pytest.raises(EpsballError, match=r"two classes|fewer than two|names no second class"):
        call(spec, single, inputs, labels, eps=0.1, norm=norm, generator=seeded())
