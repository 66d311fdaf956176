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
        adversarial: with a recipe that makes examples, within the study's `train_eps` in l2, over
            `default_settings`: the source does not state how it is done.
        retrained: on the images, and on the examples that fooled it; else as the base.
    """

    title: str
    settings: Mapping[str, Plain] = field(default_factory=dict)
    base: bool = False
    adversarial: bool = False
    retrained: bool = False


# the source used float32, and its numbers are compared
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
    "pgd": Net("PGD training, l2", _PGD, adversarial=True),
    "generator": Net("generator network, l2", _GENERATOR, adversarial=True),
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
    def is_dnr(self) -> bool:
        """Say whether it is DNR, with a change or without."""
        return self.defence == "dnr"

    @property
    def is_changed_dnr(self) -> bool:
        """Say whether it is DNR with a change."""
        return self.is_dnr and not self.whole


_DNR, _IN_SAMPLE = ("base", "dnr"), ("in-sample", LAYERS)
SUBJECTS: Mapping[str, Subject] = {
    "none": Subject("bare network", whole=True, variants=True),
    "msp": Subject("softmax threshold", defence="msp", fit="msp", whole=True),
    "nr": Subject("NR", defence="nr", fit="nr", layers=LAYERS[2:], whole=True, variants=True),
    "dnr": Subject("DNR", *_DNR, "dnr", *_IN_SAMPLE, whole=True, variants=True),
    "dnr-out-of-fold": Subject("DNR, combiner out of fold", *_DNR, "dnr", "out-of-fold", LAYERS),
    "dnr-late": Subject("DNR without layer 5", *_DNR, "dnr-late", "in-sample", LAYERS[1:]),
    "retrained": Subject("bare network, retrained", net="retrained"),
    "dnr-retrained": Subject("DNR, refitted", *_DNR, "dnr-retrained", *_IN_SAMPLE, retrained=True),
    "generator": Subject("trained on a generator network", net="generator"),
    "pgd": Subject("trained on PGD", net="pgd"),
}


@dataclass(frozen=True)
class AttackVariant:
    """One way of attacking, for verdicts; notes.md has its titles.

    Args:
        name: in the rows.
        attack: with settings; {steps} and {tolerance} are the study's.
        restarts: number of starts.
        density: weight of the density term, for our attack on scores; None: no such term.
    """

    name: str
    attack: str = "rejection"
    restarts: int = 1
    density: float | None = None


_HINGE = "rejection:objective=reject-hinge,scale=probabilities"
_HINGE_ONE = "rejection:objective=reject-hinge-one,scale=probabilities"
_STEPS = "steps={steps:g}"
_STOP = f"tolerance={{tolerance:g}},{_STEPS}"
VARIANTS = (
    AttackVariant("raw", f"{_HINGE},gradient=raw,step_size=1,{_STOP}"),
    AttackVariant("hinge", f"{_HINGE},{_STOP}"),
    AttackVariant("restarts", f"{_HINGE},{_STOP}", restarts=5),
    AttackVariant("hinge-one", f"{_HINGE_ONE},{_STOP}"),
    AttackVariant("patient", f"{_HINGE},{_STEPS}"),
    AttackVariant("margin-probabilities", f"rejection:scale=probabilities,{_STEPS}"),
    AttackVariant("scores", f"rejection:objective=reject-hinge,{_STEPS}"),
    AttackVariant("margin", f"rejection:{_STEPS}"),
    AttackVariant("margin-long"),
    AttackVariant("margin-restarts", restarts=5),
    AttackVariant("crowd-0", density=0.0),
    AttackVariant("crowd-1", density=1.0),
    AttackVariant("black-box", "square:queries=1000"),
    AttackVariant("strongest", "strongest"),
)
