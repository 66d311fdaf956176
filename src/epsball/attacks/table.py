"""Every attack that epsball knows. The command line, the docs and the contract tests read this."""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points

from epsball.attacks.spec import AttackSpec
from epsball.errors import BrokenContract

ENTRY_POINTS = "epsball.attacks"

# name on the command line: the module below epsball.attacks whose `SPEC` describes the attack
_BUILT_IN = {
    "fgsm": "gradient.fgsm",
    "bim": "gradient.bim",
    "pgd": "gradient.pgd",
    "mifgsm": "gradient.mifgsm",
    "nifgsm": "gradient.nifgsm",
    "transfer": "gradient.transfer",
    "mef": "gradient.mef",
    "apgd": "gradient.apgd",
    "apgd-t": "gradient.apgd_t",
    "relaxation": "gradient.relaxation",
    "rejection": "gradient.rejection",
    "deepfool": "nearest.deepfool",
    "fab": "nearest.fab",
    "fmn": "nearest.fmn",
    "ddn": "nearest.ddn",
    "cw": "nearest.cw",
    "ead": "nearest.ead",
    "sigma-zero": "nearest.sigma_zero",
    "jsma": "nearest.jsma",
    "boxes": "nearest.boxes",
    "square": "black_box.square",
    "spsa": "black_box.spsa",
    "hopskipjump": "black_box.hopskipjump",
    "strongest": "ensembles.strongest",
    "autoattack": "ensembles.autoattack",
    "spatial": "unrestricted.spatial",
    "corruptions": "unrestricted.corruptions.corruptions",
    "patch": "unrestricted.patch.patch",
    "noise": "black_box.noise",
}


def _built_in() -> dict[str, AttackSpec]:
    return {
        name: importlib.import_module(f"epsball.attacks.{module}").SPEC
        for name, module in _BUILT_IN.items()
    }


def _plugins() -> dict[str, AttackSpec]:
    specs = {}
    for point in entry_points(group=ENTRY_POINTS):
        spec = point.load()
        if not isinstance(spec, AttackSpec):
            raise BrokenContract(
                f"entry point {point.value!r} of {ENTRY_POINTS} must be an AttackSpec, "
                f"got {type(spec).__name__}"
            )
        specs[point.name] = spec
    return specs


ATTACKS: Mapping[str, AttackSpec] = _built_in() | _plugins()
