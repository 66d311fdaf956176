"""Every attack that epsball knows. The command line, the docs and the contract tests read this."""

from collections.abc import Mapping
from importlib.metadata import entry_points

from epsball.attacks.black_box.hopskipjump import hopskipjump
from epsball.attacks.black_box.noise import noise
from epsball.attacks.black_box.spsa import spsa
from epsball.attacks.black_box.square import square
from epsball.attacks.ensembles.autoattack import autoattack
from epsball.attacks.ensembles.strongest import strongest
from epsball.attacks.gradient.apgd import apgd
from epsball.attacks.gradient.apgd_t import apgd_t
from epsball.attacks.gradient.bim import bim
from epsball.attacks.gradient.fgsm import fgsm, fgsm_sweep
from epsball.attacks.gradient.mifgsm import mifgsm
from epsball.attacks.gradient.pgd import pgd
from epsball.attacks.gradient.rejection import rejection
from epsball.attacks.nearest.cw import cw
from epsball.attacks.nearest.ddn import ddn
from epsball.attacks.nearest.deepfool import deepfool
from epsball.attacks.nearest.ead import ead
from epsball.attacks.nearest.fab import fab
from epsball.attacks.nearest.fmn import fmn
from epsball.attacks.nearest.jsma import jsma
from epsball.attacks.nearest.sigma_zero import sigma_zero
from epsball.attacks.spec import AttackSpec
from epsball.attacks.unrestricted.corruptions.corruptions import corruptions
from epsball.attacks.unrestricted.patch.patch import patch
from epsball.attacks.unrestricted.spatial import spatial
from epsball.errors import BrokenContract

ENTRY_POINTS = "epsball.attacks"

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
    "mifgsm": AttackSpec(
        mifgsm,
        kind="budget",
        norms=("linf", "l2"),
        source="Dong et al. 2018, arXiv:1710.06081",
    ),
    "apgd": AttackSpec(
        apgd,
        kind="budget",
        norms=("linf", "l2", "l1"),
        source="Croce and Hein 2020, arXiv:2003.01690; l1: arXiv:2103.01208",
        random=True,
    ),
    "apgd-t": AttackSpec(
        apgd_t,
        kind="budget",
        norms=("linf", "l2", "l1"),
        source="Croce and Hein 2020, arXiv:2003.01690",
        random=True,
        keeps="won",
    ),
    "rejection": AttackSpec(
        rejection,
        kind="budget",
        norms=("l2", "linf"),
        source="Sotgiu et al. 2020, doi:10.1186/s13635-020-00105-y",
        random=True,
        keeps="won",
    ),
    "deepfool": AttackSpec(
        deepfool,
        kind="minimal",
        norms=("linf", "l2"),
        source="Moosavi-Dezfooli et al. 2016, arXiv:1511.04599",
    ),
    "fab": AttackSpec(
        fab,
        kind="minimal",
        norms=("linf", "l2", "l1"),
        source="Croce and Hein 2020, arXiv:1907.02044",
    ),
    "fmn": AttackSpec(
        fmn,
        kind="minimal",
        norms=("linf", "l2", "l1", "l0"),
        source="Pintor et al. 2021, arXiv:2102.12827",
    ),
    "ddn": AttackSpec(
        ddn,
        kind="minimal",
        norms=("l2",),
        source="Rony et al. 2019, arXiv:1811.09600",
    ),
    "cw": AttackSpec(
        cw,
        kind="minimal",
        norms=("l2",),
        source="Carlini and Wagner 2017, arXiv:1608.04644",
    ),
    "ead": AttackSpec(
        ead,
        kind="minimal",
        norms=("l1",),
        source="Chen et al. 2018, arXiv:1709.04114",
    ),
    "sigma-zero": AttackSpec(
        sigma_zero,
        kind="minimal",
        norms=("l0",),
        source="Cina et al. 2024, arXiv:2402.01879",
    ),
    "jsma": AttackSpec(
        jsma,
        kind="minimal",
        norms=("l0",),
        source="Papernot et al. 2016, arXiv:1511.07528",
    ),
    "square": AttackSpec(
        square,
        kind="query",
        norms=("linf", "l2"),
        source="Andriushchenko et al. 2020, arXiv:1912.00049",
        needs_gradient=False,
        random=True,
        keeps="won",
    ),
    "spsa": AttackSpec(
        spsa,
        kind="query",
        norms=("linf", "l2"),
        source="Uesato et al. 2018, arXiv:1802.05666",
        needs_gradient=False,
        random=True,
        keeps="won",
    ),
    "hopskipjump": AttackSpec(
        hopskipjump,
        kind="query",
        norms=("l2", "linf"),
        source="Chen et al. 2020, arXiv:1904.02144",
        needs_gradient=False,
        random=True,
    ),
    "strongest": AttackSpec(
        strongest,
        kind="budget",
        norms=("linf", "l2", "l1"),
        source="order and shares ours; attacks and budgets: Croce and Hein 2020, arXiv:2003.01690",
        needs_gradient=False,
        random=True,
        keeps="won",
        adaptive=True,
    ),
    "autoattack": AttackSpec(
        autoattack,
        kind="budget",
        norms=("linf", "l2"),
        source="Croce and Hein 2020, arXiv:2003.01690",
        random=True,
        keeps="won",
    ),
    "spatial": AttackSpec(
        spatial,
        kind="other",
        norms=(),
        source="Engstrom et al. 2019, arXiv:1712.02779",
        needs_gradient=False,
        keeps="won",
    ),
    "corruptions": AttackSpec(
        corruptions,
        kind="other",
        norms=(),
        source="Hendrycks and Dietterich 2019, arXiv:1903.12261",
        needs_gradient=False,
        random=True,
        keeps="won",
    ),
    "patch": AttackSpec(
        patch,
        kind="other",
        norms=(),
        source="Brown et al. 2017, arXiv:1712.09665",
        random=True,
        keeps="won",
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
