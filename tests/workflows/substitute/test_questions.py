"""Questions that are attacks: inside the radius, on moved images, and better than the source's."""

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import mifgsm
from epsball.geometry import size
from epsball.oracles import LabelOnly
from epsball.workflows.substitute.learning import (
    Questions,
    SubstituteSettings,
    learn_substitute,
)
from epsball.workflows.substitute.questions import attack_questions


def _moves(image: Tensor) -> Tensor:
    """Every image (25, c, h, w) that a move by up to two pixels gives, its border repeated."""
    wide = nn.functional.pad(image[None], (2,) * 4, mode="replicate")[0]
    height, width = image.shape[1:]
    places = [(row, column) for row in range(5) for column in range(5)]
    return torch.stack([wide[:, r : r + height, c : c + width] for r, c in places])


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.2), ("l2", 1.0)])
def test_a_question_lies_within_eps_of_a_moved_image(
    norm: Literal["linf", "l2"], eps: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((12, 1, 6, 7), generator=generator)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(42, 3)).eval()
    questions = attack_questions(model, images, norm=norm, eps=eps, generator=generator)
    rounding = 0.5 / 255 * (1 if norm == "linf" else 42**0.5)
    for image, question in zip(images, questions, strict=True):
        far = size(question - _moves(image), norm)
        assert float(far.amin()) <= eps + rounding + 1e-6
        assert float(far.amin()) > eps / 4  # attacked, not only moved
    grey = questions * 255
    torch.testing.assert_close(grey, grey.round())
    assert 0 <= float(questions.amin()) <= float(questions.amax()) <= 1


class Kinked(nn.Module):
    """An oracle whose border bends: far from the first images it runs another way."""

    def forward(self, inputs: Tensor) -> Tensor:
        left, right = inputs[:, 0, :, :2].mean((1, 2)), inputs[:, 0, :, 2:].mean((1, 2))
        score = left - right + 0.5 * torch.sin(25 * left)
        return torch.stack([score, -score], 1)


def test_answers_about_attacks_make_attacks_fool_more() -> None:
    oracle = Kinked()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((340, 1, 4, 4), generator=generator)
    labels = oracle(images).argmax(1)

    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))

    def fooled(questions: Questions) -> int:
        settings = SubstituteSettings(800, questions, epochs=30, lr=0.01, eps=0.1, reservoir=100)
        learned = learn_substitute(LabelOnly(oracle), images[:40], build, settings, classes=2)
        attacked = mifgsm(learned.model, images[40:], labels[40:], eps=0.1)
        return int((oracle(attacked).argmax(1) != labels[40:]).sum())

    assert fooled("attacks") > 1.5 * fooled("jacobian")
