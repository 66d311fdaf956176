"""The rows of study `adversarial-training`, one way of training each. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from epsball.studies.core.cell import Plain


@dataclass(frozen=True)
class Training:
    """One way of training, as one row of the study's table.

    Args:
        title: in tables and figures.
        settings: of `TrainSettings`; eps is the study's, where the recipe takes one.
        dropout: the network's; 0 except in the row about dropout, so that only recipes differ.
        width: factor on the network's usual numbers of filters and units.
        sources: helpers on whose networks the recipe makes examples.
        attacked: whether the recipe makes examples within eps.
        steps: whether it uses the study's number of attack steps.
        longer: factor on the study's epochs.
    """

    title: str
    settings: Mapping[str, Plain] = field(default_factory=lambda: {"recipe": "standard"})
    dropout: float = 0.0
    width: float = 1.0
    sources: tuple[str, ...] = ()
    attacked: bool = True
    steps: bool = False
    longer: int = 1


def _mix(reference: str = "true", alpha: float = 0.5) -> dict[str, Plain]:
    return {"recipe": "fgsm-mix", "alpha": alpha, "reference": reference}


# networks that are not rows: static sources of examples, and the one that no recipe uses
HELPERS: Mapping[str, Training] = {
    "source-0": Training("static source", attacked=False),
    "source-1": Training("static source, half the width", width=0.5, attacked=False),
    "held-out": Training("held-out model", dropout=0.5, attacked=False),
}

TRAININGS: Mapping[str, Training] = {
    "none": Training("none", attacked=False),
    "dropout": Training("dropout only", dropout=0.5, attacked=False),
    "penalties": Training(
        "L1 and L2 only", {"recipe": "standard", "l1": 1e-5, "l2": 1e-4}, attacked=False
    ),
    # one step, as in the slides: the examples of FGSM on a trained network
    "offline": Training(
        "FGSM examples added once", {"recipe": "offline", "attack_steps": 1}, sources=("source-0",)
    ),
    "fgsm-mix": Training("FGSM mix, true label", _mix()),
    "fgsm-mix-predicted": Training("FGSM mix, predicted label", _mix("predicted")),
    "fgsm-mix-least-likely": Training("FGSM mix, least likely", _mix("least_likely")),
    "fgsm-only": Training("FGSM examples only", _mix(alpha=0.0)),
    "fast": Training("one step from a random start", {"recipe": "fast"}),
    "iterative-mix": Training(
        "iterative mix", {"recipe": "iterative-mix", "alpha": 0.5}, steps=True
    ),
    "pgd": Training("PGD, min-max", {"recipe": "pgd"}, steps=True),
    "ensemble": Training(
        "ensemble of static models",
        {"recipe": "ensemble", "alpha": 0.5},
        sources=("source-0", "source-1"),
    ),
    "fgsm-mix-narrow": Training("FGSM mix, a quarter of the width", _mix(), width=0.25),
    "fgsm-mix-wide": Training("FGSM mix, twice the width", _mix(), width=2.0),
}

# beyond the source: --grid "row=none,trades"
EXTRA: Mapping[str, Training] = {
    # the label leaks late: only after the network has learned to read the perturbation
    "fgsm-only-long": Training(
        "FGSM examples only, three times as long", _mix(alpha=0.0), longer=3
    ),
    "pgd-narrow": Training(
        "PGD, a quarter of the width", {"recipe": "pgd"}, width=0.25, steps=True
    ),
    "pgd-wide": Training("PGD, twice the width", {"recipe": "pgd"}, width=2.0, steps=True),
    "trades": Training("TRADES", {"recipe": "trades"}, steps=True),
    "mart": Training("MART", {"recipe": "mart"}, steps=True),
    "free": Training("free", {"recipe": "free"}),
    "gradient-penalty": Training(
        "gradient penalty", {"recipe": "gradient-penalty"}, attacked=False
    ),
}
ALL: Mapping[str, Training] = {**TRAININGS, **EXTRA, **HELPERS}
