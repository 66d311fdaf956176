"""Every attack of the table keeps the contract; so is a new one covered by being listed."""

import pytest

from epsball.attacks import ATTACKS
from epsball.testing import CHECKS, check_attack, norms_of
from epsball.types import Norm

CASES = [
    pytest.param(name, norm, check, id=f"{name}-{norm}-{check.__name__}")
    for name, spec in ATTACKS.items()
    for norm in norms_of(spec)
    for check in CHECKS
]
# the long ones run on one problem, the quick ones on three
QUICK = ("fgsm", "bim", "pgd", "mifgsm", "noise", "deepfool", "ddn", "square")


@pytest.mark.parametrize(("name", "norm", "check"), CASES)
def test_contract(name: str, norm: Norm, check: object) -> None:
    assert callable(check)
    for seed in range(3 if name in QUICK else 1):
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
