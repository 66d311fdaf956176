"""The plan of study class-imbalance: 21 networks, 50 evaluations; and what it refuses."""

from collections import Counter
from typing import Any

import pytest

from epsball.errors import InvalidInput
from epsball.studies.class_imbalance.plan import cost, plan
from epsball.studies.core.cell import Cell
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR = DataSummary("cifar10", "a-b", 50_000, 10_000, (3, 32, 32), 10, NAMES)


def planned(grid: dict[str, Any] | None = None, **options: Any) -> list[Cell]:
    given: dict[str, Any] = {"data": "cifar10", "seeds": 1, "searched": 0, **options}
    return plan(Options(**given, grid=grid or {}), CIFAR)


def test_the_source_has_21_training_sets_and_50_evaluations() -> None:
    cells = planned()
    nets = [cell for cell in cells if cell.kind == "train"]
    assert Counter(cell.parameters["set"] for cell in nets) == {
        "balanced": 1,
        "under": 10,
        "over": 10,
    }
    assert nets[0].parameters["imbalance"] is None
    assert {cell.parameters["imbalance"] for cell in nets[1:3]} == {
        "under:airplane=1/5",
        "over:airplane=1/5",
    }
    judged = [cell for cell in cells if cell.kind == "judge"]
    # the balanced one on its ten classes; the others on their class, by two gradients
    evaluations = sum(10 if len(cell.needs) == 1 else len(cell.needs) for cell in judged)
    assert evaluations == 50
    assert all(cell.needs[-1] == nets[0].hash for cell in judged)


def test_networks_of_a_repetition_share_their_seed_and_repetitions_do_not() -> None:
    nets = [cell for cell in planned(seeds=2) if cell.kind == "train"]
    seeds = {cell.repeat: set() for cell in nets}  # type: ignore[var-annotated]
    for cell in nets:
        seeds[cell.repeat].add(cell.shared_seed("content"))
    assert [len(one) for one in seeds.values()] == [1, 1]
    assert seeds[0] != seeds[1]


def test_parts_share_networks() -> None:
    both = planned({"part": ("source", "dose"), "training": ("ordinary",), "dose": (5, 10)})
    unique = {cell.hash for cell in both if cell.kind == "train"}
    assert len(unique) == 21 + 10  # 1:5 is the source's own


def test_the_source_schedule_is_the_source_s() -> None:
    net = planned({"schedule": ("source",)})[0].parameters
    stated = {"optimizer": "rmsprop", "lr": 1e-4, "decay": 1e-5, "epochs": 200, "patience": 10}
    assert {name: net[f"train_{name}"] for name in stated} == stated
    assert net["train_min_delta"] == 1e-4


def test_searching_adds_cells_only_where_images_are_given_to_it() -> None:
    grid = {"part": ("tail",), "training": ("adversarial",)}
    assert Counter(c.kind for c in planned(grid)) == {"train": 2, "probe": 2}
    assert Counter(c.kind for c in planned(grid, searched=5)) == {
        "train": 2,
        "probe": 2,
        "search": 2,
    }


def test_remedies_are_trained_on_the_same_images() -> None:
    cells = planned({"part": ("remedies",), "remedy": ("none", "hybrid")}, classes=("cat",))
    nets = [cell for cell in cells if cell.kind == "train"]
    assert [n.parameters["imbalance"] for n in nets] == [None, "under:cat=1/10", "under:cat=1/10"]
    assert nets[2].parameters["train_sampling"] == "square-root"


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ({"part": ("thesis",)}, "unknown part of the study 'thesis'"),
        ({"schedule": ("slow",)}, "unknown schedule of the study 'slow'"),
        ({"schedule": ("fast", "source")}, "takes one schedule at a time"),
        ({"part": ("remedies",), "remedy": ("hope",)}, "unknown remedy of the study 'hope'"),
        ({"part": ("dose",), "dose": (0,)}, "dose must be 1 or more, got 0"),
        ({"part": ("dose",), "dose": (20_000,)}, "dose=20000 leaves no image of a class of 5000"),
    ],
)
def test_a_grid_that_cannot_be_meant(grid: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        planned(grid)


def test_images_that_it_has_no_network_for() -> None:
    large = DataSummary("folder", "a-b", 100, 20, (3, 64, 64), 2, ("cat", "dog"))
    with pytest.raises(InvalidInput, match="folder:PATH@32"):
        plan(Options(), large)


def test_training_images_that_are_the_test_images() -> None:
    same = DataSummary("folder", "a-a", 100, 100, (3, 32, 32), 2, ("cat", "dog"))
    with pytest.raises(InvalidInput, match="divide the folder into PATH/train and PATH/test"):
        plan(Options(), same)


def test_every_cell_has_a_cost() -> None:
    cells = planned({"part": ("source", "dose", "remedies", "tail")}, searched=5)
    assert all(cost(cell, CIFAR) > 0 for cell in cells)
    assert {cell.kind for cell in cells} == {"train", "judge", "probe", "search"}
