"""Every attack of the table keeps the contract; so is a new one covered by being listed."""

import pytest
from tests.contracts.cases import cases

from epsball.attacks import ATTACKS
from epsball.testing import CHECKS, check_attack
from epsball.types import Norm


def dear(name: str, norm: Norm, check: str) -> bool:
    """Leave to `make test-slow` what an ensemble's parts are tried by, but for one whole norm."""
    parts = check in ("check_past_rejection", "check_linear_oracle")
    return norm != "l2" or (name == "autoattack" and parts)


CASES = cases(CHECKS, dear)
# the long ones run on one problem, the quick ones on two
QUICK = ("fgsm", "bim", "pgd", "mifgsm", "noise", "deepfool", "ddn")


@pytest.mark.parametrize(("name", "norm", "check"), CASES)
def test_contract(name: str, norm: Norm, check: object) -> None:
    assert callable(check)
    for seed in range(2 if name in QUICK else 1):
        check(ATTACKS[name], norm, seed)


def test_check_attack_runs_every_check() -> None:
    check_attack(ATTACKS["bim"], seed=7)


@pytest.mark.parametrize("name", ATTACKS)
def test_table_tells_what_help_needs(name: str) -> None:
    spec = ATTACKS[name]
    assert spec.summary.endswith(".")
    assert spec.source
    assert spec.kind in ("budget", "minimal", "query", "other")
    assert "Source:" in (spec.attack.__doc__ or "")
