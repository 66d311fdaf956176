"""How the rules of the contract call an attack, and how they report a broken rule."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from epsball.attacks import AttackSpec
from epsball.errors import BrokenContract

_QUERIES = 300  # enough for small problems


def call(spec: AttackSpec, model: Any, inputs: Tensor, labels: Tensor, **arguments: Any) -> Tensor:  # noqa: ANN401
    """Call an attack with eps and norm if its signature takes them, and a small query budget."""
    if not spec.takes_eps:
        arguments.pop("eps", None)
    if not spec.takes_norm:
        arguments.pop("norm", None)
    if "queries" in spec.knobs:
        arguments = {"queries": min(_QUERIES, spec.knobs["queries"])} | arguments
    return spec.attack(model, inputs, labels, **arguments)


def shortened(spec: AttackSpec, limits: Mapping[str, int]) -> AttackSpec:
    """Return an attack whose settings are at most these limits."""
    knobs = {key: value for key, value in spec.knobs.items() if isinstance(value, int)}
    settings = {key: min(most, knobs[key]) for key, most in limits.items() if key in knobs}
    return replace(spec, attack=partial(spec.attack, **settings))


def seeded(seed: int = 1) -> torch.Generator:
    """Return a generator with a fixed seed."""
    return torch.Generator().manual_seed(seed)


def require(holds: bool, rule: str, **values: object) -> None:  # noqa: FBT001 - reads as the rule does
    """Raise BrokenContract with the values unless the rule holds."""
    if not holds:
        text = ", ".join(f"{name}={value}" for name, value in values.items())
        raise BrokenContract(f"the attack must {rule}; seen: {text or 'otherwise'}")


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
    raise BrokenContract(f"the attack must {rule} with {error.__name__}, it did not raise")
