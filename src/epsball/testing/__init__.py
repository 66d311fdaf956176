"""The contract of an attack, as a function that any attack can be put through.

from epsball.testing import check_attack
check_attack(AttackSpec(my_attack, kind="budget", norms=("linf",), source="..."))
"""

from epsball.attacks import AttackSpec
from epsball.testing.cases import Case, contract_cases

__all__ = ["Case", "check_attack", "contract_cases"]


def check_attack(spec: AttackSpec, *, seed: int = 0) -> None:
    """Put an attack through its contract; return only if it keeps it.

    Every rule that applies to the attack is checked on networks, and, if it holds for any model, on
    a fitted Neural Rejection and a fitted Deep Neural Rejection.

    Args:
        spec: the table's entry, or what is to become one.
        seed: of the small models and images it is tried on.

    Raises:
        BrokenContract: the first rule that the attack breaks, with the values seen.

    Example:
        >>> from epsball.attacks import ATTACKS
        >>> check_attack(ATTACKS["fgsm"])
    """
    for case in contract_cases(spec):
        case.run(seed)
