"""Files of skops through `audit`: attacks that suit them, and the scale of their rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from epsball import audit
from epsball.errors import InvalidInput

BLIND, GRADIENT, TREE = (
    {"square", "hopskipjump", "noise"},
    {"fgsm", "pgd", "noise"},
    {"boxes", "noise"},
)


def images(count: int = 60) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return bright squares in one of three corners, between grey noise."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 3
    levels = generator.integers(0, 120, (count, 1, 6, 6)).astype(np.uint8)
    for number, label in enumerate(labels):
        top, left = divmod(int(label), 2)
        levels[number, 0, 3 * top : 3 * top + 3, 3 * left : 3 * left + 3] += 60
    return levels, labels


def saved(estimator: Any, folder: Path, *, levels: bool = False) -> str:
    pixels, labels = images()
    rows = pixels.reshape(len(labels), -1)
    skops.io.dump(estimator.fit(rows if levels else rows / 255, labels), folder / "model.skops")
    return f"sklearn:{folder / 'model.skops'}"


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (LogisticRegression(), GRADIENT),
        (KNeighborsClassifier(3), GRADIENT),
        (DecisionTreeClassifier(random_state=0), TREE),
        (RandomForestClassifier(5, random_state=0), BLIND),
    ],
)
def test_attacks_suit_the_victim(estimator: Any, expected: set[str], tmp_path: Path) -> None:
    report = audit(saved(estimator, tmp_path), images(6), eps=[0.2], queries=40, micro_batch=6)
    assert {row["variant"] for row in report.summary["results"]} == expected
    assert report.summary["worst_case"][0]["robust_accuracy"] < 1


def test_an_attack_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    spec = saved(RandomForestClassifier(5, random_state=0), tmp_path)
    report = audit(spec, images(6), attacks=["square"], eps=[0.2], queries=20)
    assert [row["variant"] for row in report.summary["results"]] == ["square"]
    with pytest.raises(InvalidInput, match="use --attack square or hopskipjump"):
        audit(spec, images(6), attacks=["pgd"], eps=[0.2])


def test_networks_without_a_gradient_are_still_refused() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(36, 3)

        def forward(self, inputs: Any) -> Any:
            return self.last(inputs.detach().flatten(1)).detach()

    with pytest.raises(InvalidInput, match="fgsm needs a gradient"):
        audit(Cut().eval(), images(6), eps=[0.2])


def test_rows_of_levels_are_noticed_and_the_remedy_works(tmp_path: Path) -> None:
    spec = saved(RandomForestClassifier(9, random_state=0), tmp_path, levels=True)
    report = audit(spec, images(), attacks=["noise"], eps=[0.01])
    (scaling,) = [one for one in report.findings if one.code == "other-scaling"]
    assert "--input-range 255" in scaling.message
    right = audit(spec, images(), attacks=["noise"], eps=[0.01], input_range=255)
    assert right.summary["clean"]["accuracy"] == 1
