"""The cases of the contract: an attack in a norm, under a rule, on networks or on a rejector."""

from collections.abc import Iterator
from dataclasses import dataclass

from epsball.attacks import AttackSpec
from epsball.testing.calls import shortened
from epsball.testing.fitted import FITTED_REJECTORS, fitted_problem
from epsball.testing.rules.rule import Rule
from epsball.testing.rules.table import RULES
from epsball.types import Norm

# for rules that hold for any settings, and for rejectors, whose forward pass takes three times as
# long as that of their network
_SHORT = {
    "steps": 10,
    "searches": 2,
    "queries": 40,
    "classes": 2,
    "angles": 3,
    "shifts": 2,
}


@dataclass(frozen=True)
class Case:
    """One rule that applies to an attack in a norm.

    Args:
        spec: the attack.
        norm: the norm it is called in; "linf" for an attack that knows none.
        rule: what is checked.
        rejector: the fitted rejector it is checked on, "nr" or "dnr"; None: small networks.
    """

    spec: AttackSpec
    norm: Norm
    rule: Rule
    rejector: str | None = None

    def run(self, seed: int = 0) -> None:
        """Check the rule; raise BrokenContract if the attack breaks it.

        Args:
            seed: of the small models and images.
        """
        spec = self.spec
        if self.rejector or self.rule.any_settings:
            spec = shortened(spec, _SHORT)
        more = (fitted_problem(self.rejector),) if self.rejector else ()
        self.rule.check(spec, self.norm, seed, *more)


def contract_norms(spec: AttackSpec) -> tuple[Norm, ...]:
    """Return the norms to call an attack in; one that knows none is called once."""
    return spec.norms or ("linf",)


def contract_cases(spec: AttackSpec) -> Iterator[Case]:
    """Yield every case of the contract that applies to an attack.

    Every rule is checked on networks, and, if it holds for any model, on a fitted Neural Rejection
    and on a fitted Deep Neural Rejection as well. An attack that needs boxes has no case: none of
    these models has any.

    Example:
        >>> from epsball.attacks import ATTACKS
        >>> cases = list(contract_cases(ATTACKS["spatial"]))
        >>> "check_eps_zero" in [case.rule.name for case in cases]  # it has no eps
        False
    """
    if spec.needs_boxes:
        return
    for norm in contract_norms(spec):
        for rule in RULES:
            if rule.applies(spec, norm):
                yield Case(spec, norm, rule)
                if rule.any_model:
                    yield from (Case(spec, norm, rule, name) for name in FITTED_REJECTORS)
