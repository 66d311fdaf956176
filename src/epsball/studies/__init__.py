"""Studies: a plan of hashed cells, run anywhere, whose rows say whether a source's claims hold.

The names are loaded when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epsball.studies.cell import Cell
    from epsball.studies.claims import load_claims
    from epsball.studies.running import StudyResult, run_study
    from epsball.studies.spec import StudySpec
    from epsball.studies.store import read_rows, read_study
    from epsball.studies.table import STUDIES

_HOMES = {
    "Cell": "cell",
    "STUDIES": "table",
    "StudyResult": "running",
    "StudySpec": "spec",
    "load_claims": "claims",
    "read_rows": "store",
    "read_study": "store",
    "run_study": "running",
}

__all__ = [
    "Cell",
    "STUDIES",
    "StudyResult",
    "StudySpec",
    "load_claims",
    "read_rows",
    "read_study",
    "run_study",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    public: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return public
