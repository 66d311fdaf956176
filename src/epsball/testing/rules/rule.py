"""A rule of the contract: what is checked, and for which attacks in which norms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from epsball.attacks import AttackSpec
from epsball.types import Norm

Applies: TypeAlias = Callable[[AttackSpec, Norm], bool]


def always(_spec: AttackSpec, _norm: Norm) -> bool:
    """Every attack in every norm."""
    return True


@dataclass(frozen=True)
class Rule:
    """One rule of the contract.

    Args:
        check: (attack, norm, seed) -> None; raises BrokenContract. With `any_model` it takes what
            makes its problems as a fourth argument. It calls the attack whenever `applies` is true.
        applies: whether there is anything to check for an attack in a norm.
        any_model: the rule holds for every model, a fitted rejector included; the others need a
            model whose decision boundary is known.
        any_settings: the rule holds for every number of steps, searches and queries, so that it is
            checked with few of them.
    """

    check: Callable[..., None]
    applies: Applies = always
    any_model: bool = False
    any_settings: bool = False

    @property
    def name(self) -> str:
        """Return the name of the check, such as "check_pure"."""
        return self.check.__name__
