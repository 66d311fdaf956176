"""Every attack of the table keeps the contract, and every case of the contract can fail."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import pytest
from tests.contracts.cases import CASES, runs_by_default

from epsball.attacks import ATTACKS
from epsball.testing import Case, check_attack
from epsball.testing.fitted import FITTED_REJECTORS, fitted_problem


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=key, marks=() if runs_by_default(name, case) else pytest.mark.slow)
        for key, (name, case) in CASES.items()
    ],
)
def test_contract(case: Case) -> None:
    case.run()


class AttackCalled(Exception):
    """Raised by the attack of a case, in place of a result."""


def raising(attack: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with the same signature that raises."""

    @wraps(attack)
    def call(*arguments: object, **settings: object) -> None:
        raise AttackCalled

    return call


def test_every_case_fails_with_an_attack_that_raises() -> None:
    passed = []
    for key, (_, case) in CASES.items():
        spec = replace(
            case.spec,
            attack=raising(case.spec.attack),
            sweep=case.spec.sweep and raising(case.spec.sweep),
        )
        try:
            replace(case, spec=spec).run()
        except Exception:  # a rule reports the exception of the attack, or lets it through
            continue
        passed.append(key)
    assert CASES
    assert not passed, f"these cases never call their attack: {passed}"


def test_check_attack_runs_every_case() -> None:
    check_attack(ATTACKS["bim"], seed=7)


def test_every_attack_and_norm_has_cases_by_default() -> None:
    default = [(name, case) for name, case in CASES.values() if runs_by_default(name, case)]
    expected = {name: spec for name, spec in ATTACKS.items() if not spec.needs_boxes}
    assert {name for name, _ in default} == set(expected)
    for name, spec in expected.items():
        assert {case.norm for other, case in default if other == name} >= set(spec.norms)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("rejector", FITTED_REJECTORS)
def test_the_fitted_problem_has_images_of_every_kind(rejector: str, classes: int) -> None:
    problem = fitted_problem(rejector)(0, classes)
    predicted = problem.scores(problem.inputs).argmax(1)
    assert (predicted == classes).any()
    assert (predicted == problem.labels).any()
    assert problem.success(problem.inputs).any()


def test_specs_describe_their_attacks() -> None:
    for name, spec in ATTACKS.items():
        assert spec.summary.endswith("."), name
        assert spec.source, name
        assert spec.kind in ("budget", "minimal", "query", "other"), name
        assert "Source:" in (spec.attack.__doc__ or ""), name
