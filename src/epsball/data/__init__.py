"""Data: labelled pictures, channels first, always uint8 or float32 in [0, 1], read when needed.

A named set is looked for in `$EPSBALL_DATA`, then in the user's cache, then downloaded from its
publisher; its content is checked against a known hash wherever it came from.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epsball.data.load import default_eps, load_data
    from epsball.data.sampling import choose, stratified_order
    from epsball.data.spec import DataSpec
    from epsball.data.table import DATASETS
    from epsball.data.unit import to_unit

_HOMES = {
    "DATASETS": "epsball.data.table",
    "DataSpec": "epsball.data.spec",
    "choose": "epsball.data.sampling",
    "default_eps": "epsball.data.load",
    "load_data": "epsball.data.load",
    "stratified_order": "epsball.data.sampling",
    "to_unit": "epsball.data.unit",  # the one file of the room that needs torch
}

__all__ = [
    "DATASETS",
    "DataSpec",
    "choose",
    "default_eps",
    "load_data",
    "stratified_order",
    "to_unit",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    public: object = getattr(import_module(_HOMES[name]), name)
    return public


def __dir__() -> list[str]:
    """List the public names without importing them."""
    return sorted(__all__)
