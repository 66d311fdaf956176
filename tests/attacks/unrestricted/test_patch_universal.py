"""One patch for all images of a call."""

import pytest
import torch
from tests.attacks.patched import Planes, corner_reader, images, seeded
from torch import Tensor

from epsball.attacks.unrestricted.patch.patch import patch
from epsball.objectives import is_adversarial, margin
from epsball.testing.problems import Problem, Wavy
from epsball.types import Search

STEPS = 12


def test_a_universal_patch_is_one_for_all() -> None:
    model, x = Planes(2, 192), images(8, 3, 8, 8)
    labels = model(x).argmax(1)
    adversarial = patch(
        model,
        x,
        labels,
        share=0.25,
        position=(2, 3),
        universal=True,
        steps=STEPS,
        generator=seeded(),
    )
    worn = adversarial[:, :, 2:6, 3:7]
    assert torch.equal(worn, worn[:1].expand_as(worn))
    own = patch(model, x, labels, share=0.25, position=(2, 3), steps=STEPS, generator=seeded())
    gained = [margin(model(points), labels).mean() for points in (x, adversarial, own)]
    assert gained[1] < gained[2]


def test_a_universal_patch_serves_its_batch() -> None:
    model, x = Planes(2, 192), images(8, 3, 8, 8)
    labels = torch.zeros(8, dtype=torch.int64)
    adversarial = patch(
        model,
        x,
        labels,
        share=0.25,
        position=(2, 3),
        universal=True,
        steps=STEPS,
        samples=1,
        generator=seeded(),
    )
    away = (model.weight[1] - model.weight[0]).detach().view(1, 3, 8, 8)
    # all images ask for the same: then one patch is as good as one for each
    expected = (away > 0).float()[:, :, 2:6, 3:7].expand(8, 3, 4, 4)
    torch.testing.assert_close(adversarial[:, :, 2:6, 3:7], expected)


def test_a_universal_patch_is_judged_by_the_callers_own_model() -> None:
    x, labels = 0.2 * images(3, 1, 10, 10), torch.zeros(3, dtype=torch.int64)
    adversarial = patch(
        lambda inputs: corner_reader(inputs).flip(1),
        x,
        labels,
        share=0.09,
        position=(0, 0),
        steps=STEPS,
        universal=True,
        search=Search(confirm=corner_reader),
    )
    assert is_adversarial(corner_reader(adversarial), labels).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_universal_patch_is_the_strongest_it_saw(seed: int) -> None:
    p, model = Problem(seed), Wavy(seed)
    adversarial = patch(
        model,
        p.inputs,
        p.labels,
        share=0.4,
        steps=8,
        samples=1,
        universal=True,
        generator=seeded(),
    )

    def rank(points: Tensor) -> tuple[float, float]:
        logits = model(points).detach()
        won = is_adversarial(logits, p.labels).float().mean()
        return float(won), float(margin(logits, p.labels).mean())

    assert rank(adversarial) == max(rank(points) for points in list(model.queried))
