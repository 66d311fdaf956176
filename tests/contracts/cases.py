"""Every case of the contract for every attack of the table, and which of them run by default."""

from epsball.attacks import ATTACKS
from epsball.testing import Case, contract_cases
from epsball.testing.cases import contract_norms
from epsball.testing.rules.table import RULES
from epsball.types import Norm

# one attack of each kind that is checked on a fitted rejector by default
ON_A_REJECTOR = ("pgd", "fab", "square", "rejection")
# their parts are checked by themselves; these rules take the ensembles several seconds
ENSEMBLES = ("strongest", "autoattack", "relaxation")
LONG_RULES = ("check_past_rejection", "check_linear_oracle", "check_never_worse_than_clean")

CASES = {
    f"{name}-{case.norm}-{case.rule.name}-{case.rejector or 'network'}": (name, case)
    for name, spec in ATTACKS.items()
    for case in contract_cases(spec)
}


def default_norm(case: Case) -> Norm:
    """Return the one norm a rule is checked in by default; the norms take turns over the rules."""
    norms = contract_norms(case.spec)
    rules = [rule for rule in RULES if any(rule.applies(case.spec, norm) for norm in norms)]
    turn = rules.index(case.rule)
    norms = tuple(norm for norm in norms if case.rule.applies(case.spec, norm))
    return norms[turn % len(norms)]


def runs_by_default(name: str, case: Case) -> bool:
    """Say which cases run by default; `make test-slow` runs the others."""
    if case.norm != default_norm(case):
        return False
    if case.rejector:
        return case.rejector == "nr" and name in ON_A_REJECTOR
    return not (name in ENSEMBLES and case.rule.name in LONG_RULES)
