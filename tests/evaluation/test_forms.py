"""What `audit` is asked, in the forms in which people have it."""

import functools
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from epsball import attacks, audit
from epsball.data import default_eps
from epsball.errors import InvalidInput
from epsball.evaluation.forms import attack_texts, radii, several, whole
from epsball.radii import parse_eps, widest
from epsball.types import NORMS, Dataset, Norm


def _problem() -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, images = nn.Sequential(nn.Flatten(), nn.Linear(48, 10)), torch.rand(20, 3, 4, 4)
    return model.eval(), images, model(images).argmax(1).detach()


def _robust(data: Any, **options: Any) -> list[float]:
    model = _problem()[0]
    plain: dict[str, Any] = {"attacks": ["pgd:steps=3"], "eps": [0.1]}
    report = audit(model, data, **plain | options)
    return [row["robust_accuracy"] for row in report.summary["results"]]


def test_every_form_is_the_same_audit() -> None:
    _, x, y = _problem()
    expected = _robust((x, y))
    stored = TensorDataset(x, y)
    rows = [stored[number] for number in range(len(stored))]
    for data in (stored, DataLoader(stored, batch_size=7), rows, (x.double(), y.int())):
        assert _robust(data) == expected
    three = functools.partial(attacks.pgd, steps=3)
    options: list[dict[str, Any]] = [
        {"eps": "0.1"},
        {"eps": np.array([0.1])},
        {"eps": torch.tensor(0.1, dtype=torch.float64)},
        {"attacks": three},
        {"attacks": ["pgd"], "steps": np.int64(3)},
        {"attacks": [attacks.pgd], "steps": torch.tensor(3)},
    ]
    for form in options:
        assert _robust((x, y), **form) == expected


def test_what_is_none_of_these_is_refused() -> None:
    with pytest.raises(InvalidInput, match="names such as 'pgd', or functions of epsball.attacks"):
        attack_texts([print])
    with pytest.raises(InvalidInput, match="steps must be a whole number, got 2.5"):
        whole("steps", 2.5)
    with pytest.raises(InvalidInput, match="write settings after the name of their attack"):
        attack_texts({"pgd": {"steps": 2}})
    assert several("pgd") == ["pgd"]


@pytest.mark.parametrize("eps", [Fraction(8, 255), Decimal("0.25"), [Fraction(1, 4)], "1/4"])
def test_numbers_of_the_standard_library_are_radii(eps: Any) -> None:
    (radius,) = radii(eps)
    assert parse_eps(radius) in (8 / 255, 0.25)


@pytest.mark.parametrize(
    ("norm", "eps", "attack"), [("linf", 8, "pgd"), ("l2", 8, "pgd"), ("l0", 0.5, "sigma-zero")]
)
def test_an_eps_without_room_is_refused_before_anything_is_written(
    norm: str, eps: float, attack: str, tmp_path: Path
) -> None:
    model, x, y = _problem()
    with pytest.raises(InvalidInput, match=f"{attack}: .*eps.* got {eps}"):
        audit(model, (x, y), attacks=[attack], eps=[eps], norm=norm, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("norm", NORMS)
def test_each_norm_has_radii_of_its_own(norm: Norm) -> None:
    for shape in [(1, 28, 28), (3, 32, 32), (3, 224, 224), (1, 2, 2), (3, 4, 4)]:
        data = Dataset("own", np.zeros(1, np.int64), ("a",), shape, lambda rows: np.zeros(1))
        radii = default_eps(data, norm)
        assert list(radii) == sorted(radii)
        assert 0 < radii[-1] <= widest(norm, int(np.prod(shape)))
        if norm == "l0":
            assert radii[0] >= 1
        others = [default_eps(data, other) for other in NORMS if other != norm]
        assert shape[1] < 5 or radii not in others


@pytest.mark.parametrize("attack", ["corruptions:kind=fog", "spatial", "patch"])
def test_an_attack_without_a_ball_alone_has_an_answer(attack: str, tmp_path: Path) -> None:
    _, x, y = _problem()
    report = audit(_problem()[0], (x, y), attacks=[attack], steps=2, out=tmp_path / "run")
    (row,) = report.summary["results"]
    assert report.headline is not None
    assert f"Accuracy under {attack} is at most {100 * row['robust_accuracy']:.1f} %" in (
        report.headline
    )
    assert report.summary["worst_case"] == []
