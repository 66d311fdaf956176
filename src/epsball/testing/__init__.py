"""The contract of an attack, as a function that anyone's attack can be put through.

from epsball.testing import check_attack
check_attack(AttackSpec(my_attack, kind="budget", norms=("linf",), source="..."))
"""

from collections.abc import Callable, Iterator

from epsball.attacks import AttackSpec
from epsball.testing.calls import shortened
from epsball.testing.guarded import GUARDS, guarded
from epsball.testing.problems import MakeProblem
from epsball.testing.rules import general as rules
from epsball.testing.rules import nearest, rejecting
from epsball.types import Norm


def check_attack(spec: AttackSpec, *, seed: int = 0) -> None:
    """Put an attack through its contract; return only if it keeps it.

    Every rule is tried on networks, and, where it holds for any model, on a fitted Neural Rejection
    and a fitted Deep Neural Rejection.

    Args:
        spec: the table's entry, or what is to become one.
        seed: of the small models and images it is tried on.

    Raises:
        BrokenContract: the first rule that the attack breaks, with what was seen.

    Example:
        >>> from epsball.attacks import ATTACKS
        >>> check_attack(ATTACKS["fgsm"])
    """
    for norm in norms_of(spec):
        for check in CHECKS:
            check(spec, norm, seed)
        for defence in GUARDS:
            for guarded_check in GUARDED_CHECKS:
                guarded_check(shortened(spec, QUICK), norm, seed, guarded(defence))


def norms_of(spec: AttackSpec) -> tuple[Norm, ...]:
    """Return the norms to try an attack in; one that knows none is tried once."""
    return spec.norms or ("linf",)


CHECKS: tuple[Callable[[AttackSpec, Norm, int], None], ...] = (
    rules.check_ball_and_box,
    rules.check_pure,
    rules.check_rows_alone,
    rules.check_eps_zero,
    rules.check_bad_input,
    rules.check_linear_oracle,
    rules.check_targets,
    rules.check_strongest_point,
    rules.check_sweep,
    rules.check_gradient_needed,
    nearest.check_nearest,
    nearest.check_query_budget,
    rejecting.check_past_rejection,
    rejecting.check_nearest_past_rejection,
    rejecting.check_never_worse_than_clean,
    rejecting.check_gets_in,
)

# those whose rule holds for any model; the others need one whose borders are known
# a forward pass through a defence takes three times that through the network
QUICK = {
    "steps": 10,
    "searches": 2,
    "queries": 40,
    "classes": 2,
    "angles": 3,
    "shifts": 2,
}
GUARDED_CHECKS: tuple[Callable[[AttackSpec, Norm, int, MakeProblem], None], ...] = (
    rules.check_ball_and_box,
    rules.check_pure,
    rules.check_rows_alone,
    rules.check_eps_zero,
    rules.check_bad_input,
    rules.check_strongest_point,
    rules.check_sweep,
    rules.check_gradient_needed,
    nearest.check_nearest,
    nearest.check_query_budget,
    rejecting.check_never_worse_than_clean,
    rejecting.check_gets_in,
)


def broken_rules(spec: AttackSpec, *, seed: int = 0) -> Iterator[str]:
    """Yield the message of every check that an attack fails, where `check_attack` stops at one."""
    for norm in norms_of(spec):
        for check in CHECKS:
            try:
                check(spec, norm, seed)
            except Exception as error:  # an attack under test may fail in any way
                yield f"{check.__name__} ({norm}): {error}"
