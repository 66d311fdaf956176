"""What a study foretells of its cells."""

from types import ModuleType

import pytest

import epsball.studies.confidence_bands.plan as bands
import epsball.studies.fooling.plan as fooling
import epsball.studies.physical.plan as physical
from epsball.studies.core.cell import Cell
from epsball.studies.core.data_summary import DataSummary

ATTACK = {"images": 100, "steps": 10, "classes": 5}


def images(side: int) -> DataSummary:
    return DataSummary("npz", "a-b", 100, 100, (3, side, side), 10)


@pytest.mark.parametrize("study", [bands, fooling, physical])
def test_the_cost_of_a_cell_grows_with_its_images(study: ModuleType) -> None:
    cell = Cell("any", "attack", ATTACK, 0, 1, 1)
    small, large = (study.cost(cell, images(side)) for side in (32, 224))
    assert large == pytest.approx(49 * small)
    twice = Cell("any", "attack", ATTACK | {"steps": 20}, 0, 1, 1)
    assert small < study.cost(twice, images(32)) <= 2 * small
