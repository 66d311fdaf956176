"""Attacks: pure functions, one file a method, and the table of them.

The names are loaded when they are first asked for, so that importing epsball costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epsball.attacks._bim import bim as bim
    from epsball.attacks._combinators import best_of as best_of
    from epsball.attacks._fgsm import fgsm as fgsm
    from epsball.attacks._noise import noise as noise
    from epsball.attacks._pgd import pgd as pgd
    from epsball.attacks._table import ATTACKS as ATTACKS
    from epsball.attacks._table import AttackSpec as AttackSpec

_HOME = {
    "ATTACKS": "_table",
    "AttackSpec": "_table",
    "best_of": "_combinators",
    "bim": "_bim",
    "fgsm": "_fgsm",
    "noise": "_noise",
    "pgd": "_pgd",
}

__all__ = ["ATTACKS", "AttackSpec", "best_of", "bim", "fgsm", "noise", "pgd"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the names have as many types
    """Load a public name from its file."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
