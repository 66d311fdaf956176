"""Where code comes from: code of installed libraries is named by its version, and not followed."""

import functools
import site
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

# Code that a manifest names by its version: neither it nor its objects are followed.
SETTLED = frozenset({"torch", "numpy", *sys.stdlib_module_names})
OURS = "epsball"
# Where pip puts what is installed.
_ROOTS = frozenset(
    {Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))}
    | {Path(place) for place in (*site.getsitepackages(), site.getusersitepackages())}
)


def home_of(value: object) -> str:
    """Return the top-level package of a function, class or module."""
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
    return str(home or "").partition(".")[0]


def is_settled(code: object) -> bool:
    """Say whether a function, class or module is named well enough without reading its globals.

    Modules of libraries keep caches, registries and loggers that change while a process runs.
    """
    home = home_of(code)
    return home in SETTLED or home == OURS or is_installed(home)


@functools.cache
def is_installed(home: str) -> bool:
    """Say whether a top-level package is an installed library: its version names its code.

    Its objects (a configuration, an estimator) are followed all the same. A package that is
    installed in editable mode is code that its author changes: that is followed.
    """
    if not home or home in SETTLED:
        return False
    spec = getattr(sys.modules.get(home), "__spec__", None)
    if spec is None:
        return False
    places = [place for place in (spec.origin, *(spec.submodule_search_locations or ())) if place]
    return any(Path(place).is_relative_to(root) for place in places for root in _ROOTS)
