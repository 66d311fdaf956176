"""The rows of study `adversarial-training`: each one way of training. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from epsball.studies.core.cell import Plain


@dataclass(frozen=True)
class Line:
    """One way of training, as one row of the study's table.

    Args:
        words: for people.
        settings: of `TrainSettings`; eps is the study's, where the recipe takes one.
        dropout: the network's; 0 but for the row that is about it, so that recipes alone differ.
        width: times the network's usual filters and units.
        sources: helpers whose networks the recipe makes examples on.
        attacked: whether the recipe makes examples within eps.
        steps: whether it takes the study's number of attack steps.
        longer: times the study's epochs.
    """

    words: str
    settings: Mapping[str, Plain] = field(default_factory=lambda: {"recipe": "standard"})
    dropout: float = 0.0
    width: float = 1.0
    sources: tuple[str, ...] = ()
    attacked: bool = True
    steps: bool = False
    longer: int = 1


def _mix(reference: str = "true", alpha: float = 0.5) -> dict[str, Plain]:
    return {"recipe": "fgsm-mix", "alpha": alpha, "reference": reference}


# networks that are no row themselves: static sources of examples, and the one no recipe has seen
HELPERS: Mapping[str, Line] = {
    "source-0": Line("static source", attacked=False),
    "source-1": Line("static source, half the width", width=0.5, attacked=False),
    "held-out": Line("held-out model", dropout=0.5, attacked=False),
}

LINES: Mapping[str, Line] = {
    "none": Line("none", attacked=False),
    "dropout": Line("dropout only", dropout=0.5, attacked=False),
    "penalties": Line(
        "L1 and L2 only", {"recipe": "standard", "l1": 1e-5, "l2": 1e-4}, attacked=False
    ),
    # one step, as in the slides: the examples of FGSM on a trained network
    "offline": Line(
        "FGSM examples added once", {"recipe": "offline", "attack_steps": 1}, sources=("source-0",)
    ),
    "fgsm-mix": Line("FGSM mix, true label", _mix()),
    "fgsm-mix-predicted": Line("FGSM mix, predicted label", _mix("predicted")),
    "fgsm-mix-least-likely": Line("FGSM mix, least likely", _mix("least_likely")),
    "fgsm-only": Line("FGSM examples only", _mix(alpha=0.0)),
    "fast": Line("one step from a random start", {"recipe": "fast"}),
    "iterative-mix": Line("iterative mix", {"recipe": "iterative-mix", "alpha": 0.5}, steps=True),
    "pgd": Line("PGD, min-max", {"recipe": "pgd"}, steps=True),
    "ensemble": Line(
        "ensemble of static models",
        {"recipe": "ensemble", "alpha": 0.5},
        sources=("source-0", "source-1"),
    ),
    "fgsm-mix-narrow": Line("FGSM mix, a quarter of the width", _mix(), width=0.25),
    "fgsm-mix-wide": Line("FGSM mix, twice the width", _mix(), width=2.0),
}

# beyond the source, for whoever asks: --grid "row=none,trades"
MORE: Mapping[str, Line] = {
    # the label leaks late: not before the network has learned to read the perturbation
    "fgsm-only-long": Line("FGSM examples only, three times as long", _mix(alpha=0.0), longer=3),
    "pgd-narrow": Line("PGD, a quarter of the width", {"recipe": "pgd"}, width=0.25, steps=True),
    "pgd-wide": Line("PGD, twice the width", {"recipe": "pgd"}, width=2.0, steps=True),
    "trades": Line("TRADES", {"recipe": "trades"}, steps=True),
    "mart": Line("MART", {"recipe": "mart"}, steps=True),
    "free": Line("free", {"recipe": "free"}),
    "gradient-penalty": Line("gradient penalty", {"recipe": "gradient-penalty"}, attacked=False),
}
EVERY: Mapping[str, Line] = {**LINES, **MORE, **HELPERS}
