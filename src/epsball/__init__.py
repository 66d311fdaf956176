"""epsball: how easily is this image classifier fooled, and what helps?

    from epsball import audit, attacks

The names are loaded when they are first asked for, so that importing epsball costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epsball import attacks as attacks
    from epsball.data import load_data as load_data
    from epsball.evaluation.audit import Audit as Audit
    from epsball.evaluation.audit import audit as audit
    from epsball.models import load_model as load_model

_HOME = {
    "Audit": "epsball.evaluation.audit",
    "audit": "epsball.evaluation.audit",
    "load_data": "epsball.data",
    "load_model": "epsball.models",
}

__version__ = "0.1.0"
__all__ = ["Audit", "attacks", "audit", "load_data", "load_model"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the names have as many types
    """Load a public name from its room."""
    if name == "attacks":
        return import_module("epsball.attacks")
    if name not in _HOME:
        raise AttributeError(f"module 'epsball' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
