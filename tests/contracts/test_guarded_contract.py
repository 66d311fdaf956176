"""Every attack keeps the contract when the model is a Neural Rejection, or a deep one."""

import pytest
from tests.contracts.cases import cases

from epsball.attacks import ATTACKS
from epsball.testing import GUARDED_CHECKS, QUICK
from epsball.testing.calls import shortened
from epsball.testing.guarded import GUARDS, guarded
from epsball.types import Norm

CASES = cases(GUARDED_CHECKS, lambda _, norm, check: norm != "l2" or check != "check_pure")


@pytest.mark.parametrize("defence", GUARDS)
@pytest.mark.parametrize(("name", "norm", "check"), CASES)
def test_contract(name: str, norm: Norm, check: object, defence: str) -> None:
    assert callable(check)
    check(shortened(ATTACKS[name], QUICK), norm, 0, guarded(defence))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("defence", GUARDS)
def test_the_problem_has_images_of_every_kind(defence: str, classes: int) -> None:
    problem = guarded(defence)(0, classes)
    said = problem.scores(problem.inputs).argmax(1)
    assert (said == classes).any()
    assert (said == problem.labels).any()
    assert problem.won(problem.inputs).any()
