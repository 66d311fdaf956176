"""Every attack keeps the contract when the model is a Neural Rejection, or a deep one."""

import pytest

from epsball._contract_calls import shortened
from epsball._contract_guarded import GUARDS, guarded
from epsball.attacks import ATTACKS
from epsball.testing import GUARDED_CHECKS, QUICK, norms_of
from epsball.types import Norm

# made of the other attacks, each of which is tried by every check in every norm
ENSEMBLES = ("strongest", "autoattack")


def marks(name: str, norm: Norm, check: str) -> list[pytest.MarkDecorator]:
    quick = name not in ENSEMBLES or (norm == "l2" and check == "check_pure")
    return [] if quick else [pytest.mark.slow]


CASES = [
    pytest.param(
        name,
        norm,
        check,
        id=f"{name}-{norm}-{check.__name__}",
        marks=marks(name, norm, check.__name__),
    )
    for name, spec in ATTACKS.items()
    for norm in norms_of(spec)
    for check in GUARDED_CHECKS
]


@pytest.mark.parametrize("defence", GUARDS)
@pytest.mark.parametrize(("name", "norm", "check"), CASES)
def test_contract(name: str, norm: Norm, check: object, defence: str) -> None:
    assert callable(check)
    check(shortened(ATTACKS[name], QUICK), norm, 0, guarded(defence))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("defence", GUARDS)
def test_the_problem_has_pictures_of_every_kind(defence: str, classes: int) -> None:
    problem = guarded(defence)(0, classes)
    said = problem.scores(problem.inputs).argmax(1)
    assert (said == classes).any()
    assert (said == problem.labels).any()
    assert problem.won(problem.inputs).any()
