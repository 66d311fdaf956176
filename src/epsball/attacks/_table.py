"""Every attack that epsball knows. The command line, the docs and the contract tests read this."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal, TypeAlias

from epsball.attacks._bim import bim
from epsball.attacks._fgsm import fgsm, fgsm_sweep
from epsball.attacks._noise import noise
from epsball.attacks._pgd import pgd
from epsball.errors import BrokenContract
from epsball.tensors import Images
from epsball.types import Norm

Kind: TypeAlias = Literal["budget", "minimal", "query"]
ENTRY_POINTS = "epsball.attacks"


@dataclass(frozen=True)
class AttackSpec:
    """One attack, and what the engine has to know of it.

    Args:
        attack: the function, with the house signature.
        kind: "budget" needs eps; "minimal" finds the nearest adversarial picture; "query" sees
            only scores or labels.
        norms: the norms it is defined for.
        source: where it comes from.
        needs_gradient: whether the model must be differentiable.
        random: whether another generator gives another result, so that restarts help.
        keeps: "best" point seen, or "last".
        sweep: the same attack at several eps at once, where that is cheaper.
    """

    attack: Callable[..., Images]
    kind: Kind
    norms: tuple[Norm, ...]
    source: str
    needs_gradient: bool = True
    random: bool = False
    keeps: Literal["best", "last"] = "best"
    sweep: Callable[..., list[Images]] | None = None

    @property
    def summary(self) -> str:
        """Return the first line of the attack's docstring."""
        return (inspect.getdoc(self.attack) or "").partition("\n")[0]

    @property
    def knobs(self) -> dict[str, Any]:
        """Return the method's own settings and their defaults."""
        shared = {"model", "inputs", "labels", "eps", "norm", "targets", "generator"}
        signature = inspect.signature(self.attack)
        return {n: p.default for n, p in signature.parameters.items() if n not in shared}


_BUILT_IN: dict[str, AttackSpec] = {
    "fgsm": AttackSpec(
        fgsm,
        kind="budget",
        norms=("linf", "l2"),
        source="Goodfellow et al. 2015, arXiv:1412.6572",
        keeps="last",
        sweep=fgsm_sweep,
    ),
    "bim": AttackSpec(
        bim,
        kind="budget",
        norms=("linf", "l2"),
        source="Kurakin et al. 2017, arXiv:1607.02533",
        keeps="last",
    ),
    "pgd": AttackSpec(
        pgd,
        kind="budget",
        norms=("linf", "l2"),
        source="Madry et al. 2018, arXiv:1706.06083",
        random=True,
    ),
    "noise": AttackSpec(
        noise,
        kind="budget",
        norms=("linf", "l2"),
        source="control of Goodfellow et al. 2015, arXiv:1412.6572",
        needs_gradient=False,
        random=True,
        keeps="last",
    ),
}


def _with_plugins(built_in: dict[str, AttackSpec]) -> Mapping[str, AttackSpec]:
    table = dict(built_in)
    for point in entry_points(group=ENTRY_POINTS):
        spec = point.load()
        if not isinstance(spec, AttackSpec):
            raise BrokenContract(
                f"entry point {point.value!r} of {ENTRY_POINTS} must be an AttackSpec, "
                f"got {type(spec).__name__}"
            )
        table[point.name] = spec
    return table


ATTACKS: Mapping[str, AttackSpec] = _with_plugins(_BUILT_IN)
