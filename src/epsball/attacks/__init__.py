"""Attacks: pure functions, one file a method, and the table of them.

The names are loaded when they are first asked for, so that importing epsball costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epsball.attacks._apgd import apgd as apgd
    from epsball.attacks._apgd_t import apgd_t as apgd_t
    from epsball.attacks._autoattack import autoattack as autoattack
    from epsball.attacks._bim import bim as bim
    from epsball.attacks._bpda import bpda as bpda
    from epsball.attacks._combinators import best_of as best_of
    from epsball.attacks._corruptions import CORRUPTIONS as CORRUPTIONS
    from epsball.attacks._corruptions import corrupt as corrupt
    from epsball.attacks._corruptions import corruptions as corruptions
    from epsball.attacks._cw import cw as cw
    from epsball.attacks._ddn import ddn as ddn
    from epsball.attacks._deepfool import deepfool as deepfool
    from epsball.attacks._ead import ead as ead
    from epsball.attacks._ensemble import ensemble as ensemble
    from epsball.attacks._expectation import Expectation as Expectation
    from epsball.attacks._expectation import expectation as expectation
    from epsball.attacks._fab import fab as fab
    from epsball.attacks._fgsm import fgsm as fgsm
    from epsball.attacks._fmn import fmn as fmn
    from epsball.attacks._hopskipjump import hopskipjump as hopskipjump
    from epsball.attacks._jsma import jsma as jsma
    from epsball.attacks._mifgsm import mifgsm as mifgsm
    from epsball.attacks._noise import noise as noise
    from epsball.attacks._patch import patch as patch
    from epsball.attacks._pgd import pgd as pgd
    from epsball.attacks._rejection import rejection as rejection
    from epsball.attacks._sigma_zero import sigma_zero as sigma_zero
    from epsball.attacks._spatial import spatial as spatial
    from epsball.attacks._spec import AttackSpec as AttackSpec
    from epsball.attacks._spsa import spsa as spsa
    from epsball.attacks._square import square as square
    from epsball.attacks._strongest import strongest as strongest
    from epsball.attacks._table import ATTACKS as ATTACKS
    from epsball.attacks._targets import over_targets as over_targets

_HOME = {
    "ATTACKS": "_table",
    "AttackSpec": "_spec",
    "CORRUPTIONS": "_corruptions",
    "Expectation": "_expectation",
    "apgd": "_apgd",
    "apgd_t": "_apgd_t",
    "autoattack": "_autoattack",
    "best_of": "_combinators",
    "bim": "_bim",
    "bpda": "_bpda",
    "corrupt": "_corruptions",
    "corruptions": "_corruptions",
    "cw": "_cw",
    "ddn": "_ddn",
    "deepfool": "_deepfool",
    "ead": "_ead",
    "ensemble": "_ensemble",
    "expectation": "_expectation",
    "fab": "_fab",
    "fgsm": "_fgsm",
    "fmn": "_fmn",
    "hopskipjump": "_hopskipjump",
    "jsma": "_jsma",
    "mifgsm": "_mifgsm",
    "noise": "_noise",
    "over_targets": "_targets",
    "patch": "_patch",
    "pgd": "_pgd",
    "rejection": "_rejection",
    "sigma_zero": "_sigma_zero",
    "spatial": "_spatial",
    "spsa": "_spsa",
    "square": "_square",
    "strongest": "_strongest",
}

__all__ = [
    "ATTACKS",
    "AttackSpec",
    "CORRUPTIONS",
    "apgd",
    "apgd_t",
    "autoattack",
    "best_of",
    "bim",
    "bpda",
    "corrupt",
    "corruptions",
    "cw",
    "ddn",
    "deepfool",
    "ead",
    "ensemble",
    "expectation",
    "fab",
    "fgsm",
    "fmn",
    "hopskipjump",
    "jsma",
    "mifgsm",
    "noise",
    "over_targets",
    "patch",
    "pgd",
    "rejection",
    "sigma_zero",
    "spatial",
    "spsa",
    "square",
    "strongest",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the names have as many types
    """Load a public name from its file."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
