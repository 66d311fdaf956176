"""How the rules of the contract call an attack, and how they say what it broke."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from epsball.attacks import AttackSpec
from epsball.errors import BrokenContract

_QUERIES = 300  # enough for small problems, and quick


def call(spec: AttackSpec, model: Any, inputs: Tensor, labels: Tensor, **given: Any) -> Tensor:  # noqa: ANN401
    """Call an attack with what its signature takes of eps, norm and a small query budget."""
    if not spec.takes_eps:
        given.pop("eps", None)
    if not spec.takes_norm:
        given.pop("norm", None)
    if "queries" in spec.knobs:
        given = {"queries": min(_QUERIES, spec.knobs["queries"])} | given
    return spec.attack(model, inputs, labels, **given)


def shortened(spec: AttackSpec, few: Mapping[str, int]) -> AttackSpec:
    """Return an attack whose own settings are no larger than these, where it has them."""
    knobs = {key: value for key, value in spec.knobs.items() if isinstance(value, int)}
    less = {key: min(most, knobs[key]) for key, most in few.items() if key in knobs}
    return replace(spec, attack=partial(spec.attack, **less))


def seeded(seed: int = 1) -> torch.Generator:
    """Return a generator with a fixed seed."""
    return torch.Generator().manual_seed(seed)


def checked(keeps: bool, rule: str, **seen: object) -> None:  # noqa: FBT001 - reads as the rule does
    """Raise BrokenContract with the values unless the rule holds."""
    if not keeps:
        found = ", ".join(f"{name}={value}" for name, value in seen.items())
        raise BrokenContract(f"the attack must {rule}; seen: {found or 'otherwise'}")


def must_raise(rule: str, error: type[Exception], call: Callable[[], object]) -> None:
    """Raise BrokenContract unless the call raises the error."""
    try:
        call()
    except error:
        return
    except Exception as other:
        raise BrokenContract(
            f"the attack must {rule} with {error.__name__}, got {other!r}"
        ) from other
    raise BrokenContract(f"the attack must {rule} with {error.__name__}, it went on")
