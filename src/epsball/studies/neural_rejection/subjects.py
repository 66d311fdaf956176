"""The attacked models of study `neural-rejection`, and the variants of attacks. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from epsball.studies.core.cell import Plain

LAYERS = ("layer5", "layer7", "layer8")  # of `base-cnn`, numbered as the source numbers them
# a cell's parameter: no checks of an audit, which on DNR take longer than the attack
UNCHECKED: Mapping[str, Plain] = {"checked": "no"}
# a cell's parameter: all attack variants share their random starts
PAIRED: Mapping[str, Plain] = {"starts": "shared"}
# test accuracy: below the first a network has learned nothing; from the second on it is, within a
# point, what the source reports (98.95 %)
LEARNED, GOOD = 0.5, 0.98


@dataclass(frozen=True)
class Net:
    """One way of training the network.

    Args:
        title: in tables.
        settings: of `TrainSettings`, over the source's own.
        base: the network that defences are put around: that of the source's settings where its
            test accuracy is `GOOD`, else one that is trained at a tenth of the learning rate.
        proposed: over `default_settings` instead: the source does not state how it is done.
        attacked: whether the recipe makes examples, within the study's `train_eps` in l2.
        retrained: on the images, and on the examples that fooled it; else as the base.
    """

    title: str
    settings: Mapping[str, Plain] = field(default_factory=dict)
    base: bool = False
    proposed: bool = False
    attacked: bool = False
    retrained: bool = False


# the source knows no bfloat16, and its numbers are compared
_FLOAT32: Mapping[str, Plain] = {"precision": "float32"}
# training on examples: no dropout, an eps that rises, averaged weights; few epochs, since one of
# PGD costs eight
_MIN_MAX: Mapping[str, Plain] = {
    "norm": "l2",
    "epochs": 6,
    "dropout": 0.0,
    "eps_warmup": 0.2,
    "ema": 0.998,
}
_PGD: Mapping[str, Plain] = {"recipe": "pgd", "attack_steps": 7, **_MIN_MAX}
_GENERATOR: Mapping[str, Plain] = {"recipe": "generator", **_MIN_MAX}

NETS: Mapping[str, Net] = {
    "source": Net("as in the source", _FLOAT32),
    "base": Net("a tenth of the learning rate", _FLOAT32, base=True),
    "retrained": Net("retrained with the examples that fooled it", _FLOAT32, retrained=True),
    "pgd": Net("PGD training, l2", _PGD, proposed=True, attacked=True),
    "generator": Net("generator network, l2", _GENERATOR, proposed=True, attacked=True),
}


@dataclass(frozen=True)
class Subject:
    """A network with a defence, or without.

    Args:
        title: in tables.
        net: in `NETS`.
        defence: its name in `REJECTORS`; None: bare.
        fit: whose fit it shares: the subjects of a fit differ in their combiner only.
        combiner: kind of DNR's last machine.
        layers: that DNR reads.
        retrained: fitted on the images, and on the examples that fooled DNR.
        whole: attacked on every draw of images; others on the first.
        variants: attacked by all `VARIANTS`; except DNR also by the strongest, at all eps.
    """

    title: str
    net: str = "base"
    defence: str | None = None
    fit: str = ""
    combiner: str | None = None
    layers: tuple[str, ...] = ()
    retrained: bool = False
    whole: bool = False
    variants: bool = False

    @property
    def changed(self) -> bool:
        """Say whether it is DNR with a change."""
        return self.defence == "dnr" and not self.whole


def _dnr(
    title: str,
    fit: str = "dnr",
    combiner: str = "in-sample",
    layers: tuple[str, ...] = LAYERS,
    *,
    retrained: bool = False,
    whole: bool = False,
) -> Subject:
    return Subject(title, "base", "dnr", fit, combiner, layers, retrained, whole, variants=whole)


SUBJECTS: Mapping[str, Subject] = {
    "none": Subject("bare network", whole=True, variants=True),
    "msp": Subject("softmax threshold", defence="msp", fit="msp", whole=True),
    "nr": Subject("NR", defence="nr", fit="nr", layers=LAYERS[2:], whole=True, variants=True),
    "dnr": _dnr("DNR", whole=True),
    "dnr-out-of-fold": _dnr("DNR, combiner out of fold", combiner="out-of-fold"),
    "dnr-late": _dnr("DNR without layer 5", "dnr-late", layers=LAYERS[1:]),
    "retrained": Subject("bare network, retrained", net="retrained"),
    "dnr-retrained": _dnr("DNR, refitted", "dnr-retrained", retrained=True),
    "generator": Subject("trained on a generator network", net="generator"),
    "pgd": Subject("trained on PGD", net="pgd"),
}


@dataclass(frozen=True)
class AttackVariant:
    """One way of attacking, for verdicts.

    Args:
        name: in the rows.
        title: in the table of variants.
        attack: with settings; {steps} and {tolerance} are the study's.
        restarts: number of starts.
        density: weight of the density term, for our attack on scores; None: no such term.
        alone: a title that does not refer to the variant before; the same if empty.
    """

    name: str
    title: str
    attack: str = "rejection"
    restarts: int = 1
    density: float | None = None
    alone: str = ""

    @property
    def full_title(self) -> str:
        """Return a title that is clear outside the table."""
        return self.alone or self.title


_HINGE = "rejection:objective=reject-hinge,scale=probabilities"
_HINGE_ONE = "rejection:objective=reject-hinge-one,scale=probabilities"
_SCORES = "the margin to rejection, on raw scores"
_STEPS = "steps={steps:g}"
_STOP = f"tolerance={{tolerance:g}},{_STEPS}"
_V = AttackVariant
VARIANTS: tuple[AttackVariant, ...] = (
    _V(
        "raw",
        "the source's hinge, fixed steps of 1 times the gradient",
        f"{_HINGE},gradient=raw,step_size=1,{_STOP}",
    ),
    _V("hinge", "the source's hinge, line search for the step length", f"{_HINGE},{_STOP}"),
    _V(
        "restarts",
        "the same, 5 starts",
        f"{_HINGE},{_STOP}",
        restarts=5,
        alone="the source's hinge from 5 starts",
    ),
    _V("hinge-one", "the hinge of one machine alone", f"{_HINGE_ONE},{_STOP}"),
    _V("patient", "the source's hinge, without the early stop", f"{_HINGE},{_STEPS}"),
    _V(
        "margin-probabilities",
        "the margin to rejection, on probabilities",
        f"rejection:scale=probabilities,{_STEPS}",
    ),
    _V("scores", "the hinge on raw scores", f"rejection:objective=reject-hinge,{_STEPS}"),
    _V("margin", _SCORES, f"rejection:{_STEPS}"),
    _V("margin-long", "the same, 100 steps", alone=f"{_SCORES}, 100 steps"),
    _V(
        "margin-restarts",
        "the same, 100 steps from each of 5 starts",
        restarts=5,
        alone=f"{_SCORES}, 100 steps from each of 5 starts",
    ),
    _V(
        "crowd-0",
        "100 steps from one start, every image to the end",
        density=0.0,
        alone=f"{_SCORES}, every image to the end",
    ),
    _V(
        "crowd-1",
        "the same, with a density term of weight 1",
        density=1.0,
        alone=f"{_SCORES}, with a density term",
    ),
    _V("black-box", "Square: scores only, 1,000 queries", "square:queries=1000"),
    _V("strongest", "strongest", "strongest"),
)
