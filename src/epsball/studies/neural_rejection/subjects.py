"""Who is attacked in study `neural-rejection`: networks, bare or behind a defence. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from epsball.studies.core.cell import Plain

LAYERS = ("layer5", "layer7", "layer8")  # of `base-cnn`, numbered as the source numbers them


# a cell's parameter: no checks of an audit, which on DNR take longer than the attack
UNCHECKED: Mapping[str, Plain] = {"checked": "no"}

# a cell's parameter: all ways of attacking start where the others do
PAIRED: Mapping[str, Plain] = {"starts": "shared"}

# of test images right: below the first a network knows nothing of digits; from the second on it
# is, within a point, what the source reports (98.95 %)
LEARNED, GOOD = 0.5, 0.98


@dataclass(frozen=True)
class Net:
    """One way of training the network.

    Args:
        words: for people.
        settings: of `TrainSettings`, over the source's own.
        base: what defences are put around: the network of the source's settings where that is
            `GOOD`, else one that is trained at a tenth of the learning rate.
        proposed: over `default_settings` instead: the source does not say how it is done.
        attacked: whether the recipe makes examples, within the study's `train_eps` in l2.
        retrained: on the images, and on the examples that fooled it; else as the base was.
    """

    words: str
    settings: Mapping[str, Plain] = field(default_factory=dict)
    base: bool = False
    proposed: bool = False
    attacked: bool = False
    retrained: bool = False


# what training on examples wants here: no dropout, an eps that rises, averaged weights; few
# epochs, since each of PGD costs eight
_MIN_MAX: Mapping[str, Plain] = {
    "norm": "l2",
    "epochs": 6,
    "dropout": 0.0,
    "eps_warmup": 0.2,
    "ema": 0.998,
}

NETS: Mapping[str, Net] = {
    # its numbers are held against the source's, which knows no bfloat16
    "source": Net("as in the source", {"precision": "float32"}),
    "base": Net("a tenth of the learning rate", {"precision": "float32"}, base=True),
    "retrained": Net("trained again with what fooled it", {"precision": "float32"}, retrained=True),
    "pgd": Net(
        "PGD training, l2",
        {"recipe": "pgd", "attack_steps": 7, **_MIN_MAX},
        proposed=True,
        attacked=True,
    ),
    "generator": Net(
        "generator network, l2", {"recipe": "generator", **_MIN_MAX}, proposed=True, attacked=True
    ),
}


@dataclass(frozen=True)
class Subject:
    """A network behind a defence, or bare.

    Args:
        words: for people.
        net: in `NETS`.
        defence: its name in `REJECTORS`; None: bare.
        fit: whose fit it shares: the subjects of a fit differ in their combiner alone.
        combiner: what DNR's last machine is fitted on.
        layers: that DNR looks at.
        retrained: fitted on the images, and on the examples that fooled DNR.
        whole: judged on every draw of images; others on the first.
        climbed: attacked in all the ways of `RUNGS`; but for DNR also by the strongest, at all eps.
    """

    words: str
    net: str = "base"
    defence: str | None = None
    fit: str = ""
    combiner: str | None = None
    layers: tuple[str, ...] = ()
    retrained: bool = False
    whole: bool = False
    climbed: bool = False

    @property
    def variant(self) -> bool:
        """Say whether it is DNR with something else changed."""
        return self.defence == "dnr" and not self.whole


SUBJECTS: Mapping[str, Subject] = {
    "none": Subject("bare network", whole=True, climbed=True),
    "msp": Subject("softmax threshold", defence="msp", fit="msp", whole=True),
    "nr": Subject("NR", defence="nr", fit="nr", layers=LAYERS[2:], whole=True, climbed=True),
    "dnr": Subject(
        "DNR",
        defence="dnr",
        fit="dnr",
        combiner="in-sample",
        layers=LAYERS,
        whole=True,
        climbed=True,
    ),
    "dnr-out-of-fold": Subject(
        "DNR, combiner out of fold", defence="dnr", fit="dnr", combiner="out-of-fold", layers=LAYERS
    ),
    "dnr-late": Subject(
        "DNR without layer 5",
        defence="dnr",
        fit="dnr-late",
        combiner="in-sample",
        layers=LAYERS[1:],
    ),
    "retrained": Subject("bare network, retrained", net="retrained"),
    "dnr-retrained": Subject(
        "DNR, refitted",
        defence="dnr",
        fit="dnr-retrained",
        combiner="in-sample",
        layers=LAYERS,
        retrained=True,
    ),
    "generator": Subject("trained on a generator network", net="generator"),
    "pgd": Subject("trained on PGD", net="pgd"),
}


@dataclass(frozen=True)
class Rung:
    """One way of attacking, for verdicts.

    Args:
        name: in the rows.
        words: for people.
        attack: with settings; {steps} and {tolerance} are the study's.
        restarts: how often it starts.
        density: weight of the density term, for which the attack is ours on scores; None: none.
        alone: words that do not hang on the way before it.
    """

    name: str
    words: str
    attack: str = "rejection"
    restarts: int = 1
    density: float | None = None
    alone: str = ""

    @property
    def title(self) -> str:
        """Return words that tell it wherever they stand."""
        return self.alone or self.words


_HINGE = "rejection:objective=reject-hinge,scale=probabilities"
_MARGIN = "the margin to rejection, on raw scores"
_STEPS = "steps={steps:g}"
_STOP = f"tolerance={{tolerance:g}},{_STEPS}"
RUNGS: tuple[Rung, ...] = (
    Rung(
        "raw",
        "the source's hinge, fixed steps of 1 times the gradient",
        f"{_HINGE},gradient=raw,step_size=1,{_STOP}",
    ),
    Rung("hinge", "the source's hinge, step length searched for", f"{_HINGE},{_STOP}"),
    Rung(
        "restarts",
        "the same, 5 starts",
        f"{_HINGE},{_STOP}",
        restarts=5,
        alone="the source's hinge from 5 starts",
    ),
    Rung(
        "hinge-one",
        "the hinge of one machine alone",
        f"rejection:objective=reject-hinge-one,scale=probabilities,{_STOP}",
    ),
    Rung("patient", "the source's hinge, without the early stop", f"{_HINGE},{_STEPS}"),
    Rung(
        "margin-probabilities",
        "the margin to rejection, on probabilities",
        f"rejection:scale=probabilities,{_STEPS}",
    ),
    Rung("scores", "the hinge on raw scores", f"rejection:objective=reject-hinge,{_STEPS}"),
    Rung("margin", _MARGIN, f"rejection:{_STEPS}"),
    Rung("margin-long", "the same, 100 steps", alone=f"{_MARGIN}, 100 steps"),
    Rung(
        "margin-restarts",
        "the same, 100 steps from each of 5 starts",
        restarts=5,
        alone=f"{_MARGIN}, 100 steps from each of 5 starts",
    ),
    Rung(
        "crowd-0",
        "100 steps from one start, every image to the end",
        density=0.0,
        alone=f"{_MARGIN}, every image to the end",
    ),
    Rung(
        "crowd-1",
        "the same, with a density term of weight 1",
        density=1.0,
        alone=f"{_MARGIN}, with a density term",
    ),
    Rung("black-box", "Square: scores only, 1,000 questions", "square:queries=1000"),
    Rung("strongest", "strongest", "strongest"),
)
