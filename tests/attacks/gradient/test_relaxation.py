"""What only the relaxation attack promises."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import relaxation
from epsball.errors import InvalidInput
from epsball.geometry import size
from epsball.randomness import ImageStreams
from epsball.types import Search


def linear(classes: int = 4, pixels: int = 12) -> nn.Sequential:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))
    return model.eval()


def images(count: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    inputs = 0.4 + 0.2 * torch.rand(count, 3, 2, 2)
    return inputs, linear()(inputs).argmax(1)


def streams(rows: list[int]) -> ImageStreams:
    return ImageStreams.of(rows, seed=0, purpose="relaxation")


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_linear_models_are_fooled_exactly_where_they_can_be(norm: str) -> None:
    inputs, labels = images(200)
    weight, logits = next(linear().parameters()).detach(), linear()(inputs).detach()
    gaps = weight[None] - weight[labels][:, None]
    length = gaps.abs().sum(2) if norm == "linf" else gaps.norm(dim=2)
    lead = logits.gather(1, labels[:, None]) - logits
    nearest = (lead / length).nan_to_num(torch.inf).where(lead > 0, torch.inf).amin(1)
    eps = float(nearest.median())
    adversarial = relaxation(
        linear(), inputs, labels, eps=eps, norm=norm, generator=streams(list(range(200)))
    )
    fooled = linear()(adversarial).argmax(1) != labels
    assert not bool(fooled[nearest > eps * 1.001].any())
    assert bool(fooled[nearest < eps * 0.98].all())


@pytest.mark.parametrize("factor", [2.0**-7, 2.0**7])
def test_the_scale_of_scores_changes_no_point_and_no_pass(factor: float) -> None:
    # a power of two scales every score without rounding: what is left is the method's own doing
    torch.manual_seed(5)
    layers = nn.Flatten(), nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 5)
    model = nn.Sequential(*layers).eval()
    inputs = torch.rand(60, 3, 2, 2)
    labels = model(inputs).argmax(1)
    passes: list[int] = []

    def scaled(batch: Tensor, by: float) -> Tensor:
        passes[-1] += len(batch)
        scores: Tensor = by * model(batch)
        return scores

    points = []
    for by in (1.0, factor):
        passes.append(0)
        given: dict[str, Any] = {"eps": 0.03, "generator": streams(list(range(60)))}
        points.append(relaxation(partial(scaled, by=by), inputs, labels, **given))
    assert torch.equal(*points)
    assert passes[0] == passes[1]
    assert 0 < int((model(points[0]).argmax(1) != labels).sum()) < 60


def test_an_image_alone_gets_what_it_gets_among_others() -> None:
    inputs, labels = images(40)
    whole = relaxation(linear(), inputs, labels, eps=0.02, generator=streams(list(range(40))))
    alone = [
        relaxation(linear(), inputs[i : i + 1], labels[i : i + 1], eps=0.02, generator=streams([i]))
        for i in range(40)
    ]
    fooled = [linear()(one).argmax(1) != labels for one in (whole, torch.cat(alone))]
    assert torch.equal(*fooled)
    assert size(whole - inputs, "linf").max() <= 0.02 * (1 + 1e-6)


def test_hopeless_walks_end_early_and_near_ones_are_repeated() -> None:
    counts: list[int] = []

    class Counted(nn.Module):
        lead = 0.0

        def forward(self, batch: Tensor) -> Tensor:
            counts.append(len(batch))
            lead = torch.tensor([self.lead, 0.0, -1.0])
            return lead + batch.flatten(1)[:, :3] * torch.tensor([1.0, 0.0, 0.0])

    model = Counted()
    model.eval()
    inputs, labels = torch.full((1, 3, 1, 1), 0.5), torch.tensor([0])
    passes: list[int] = []
    for lead in (10.0, -0.45):  # far from the border; 0.05 - 0.04 from it at the ball's edge
        counts.clear()
        model.lead = lead
        relaxation(model, inputs, labels, eps=0.04, generator=streams([0]), search=Search())
        passes.append(sum(counts))
    assert passes[0] < 120  # ten steps, and two classes of twenty steps each with their projections
    assert passes[1] > 5 * passes[0]


@pytest.mark.parametrize("setting", ["classes", "cycles", "passes"])
def test_counts_below_one_are_refused(setting: str) -> None:
    inputs, labels = images(2)
    with pytest.raises(InvalidInput, match=f"relaxation: {setting} must be >= 1, got 0"):
        relaxation(linear(), inputs, labels, eps=0.1, **{setting: 0})
