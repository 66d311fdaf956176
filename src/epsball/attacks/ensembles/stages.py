"""The stages of `strongest`: which attack, with which budget, on which of the images left."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from epsball.attacks.black_box.spsa import spsa
from epsball.attacks.black_box.square import square
from epsball.attacks.combine.best_of import best_of
from epsball.attacks.combine.over_targets import over_targets
from epsball.attacks.gradient.apgd import apgd
from epsball.attacks.gradient.apgd_t import apgd_t
from epsball.attacks.gradient.pgd import pgd
from epsball.attacks.gradient.rejection import rejection
from epsball.attacks.gradient.relaxation import relaxation
from epsball.attacks.nearest.fab import fab
from epsball.objectives import margin
from epsball.tensors import Images
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")
BALLS: tuple[Norm, ...] = ("linf", "l2")

# left: every image that no stage has fooled; near: those of them that have lost most of the lead
# of their label; masked: those whose gradient is zero, or where squares came much nearer to the
# border than gradients had
When = Literal["left", "near", "masked"]


@dataclass(frozen=True)
class Stage:
    """One attack with its budget, and the images it is for.

    Args:
        name: for the reader.
        attack: with its settings filled in.
        when: which of the images left it is run on; each image is judged by itself.
        norms: where it is defined.
        blind: it needs no gradient; where it comes nearer than gradients did, they are masked.
        rejecting: it is for models that reject.
    """

    name: str
    attack: Callable[..., Images]
    when: When = "left"
    norms: tuple[Norm, ...] = NORMS
    blind: bool = False
    rejecting: bool = False


STAGES: tuple[Stage, ...] = (
    Stage("relaxed walks", relaxation, norms=BALLS),
    Stage("cross-entropy", partial(apgd, steps=100), norms=("l1",)),
    Stage("towards a class", partial(apgd_t, steps=40, classes=3), norms=("l1",)),
    # far from what a rejecting model knows its gradients are weak: many starts, no softmax
    Stage("past the rejection", partial(rejection, steps=40), norms=BALLS, rejecting=True),
    Stage("margin past the rejection", partial(apgd, objective=margin), rejecting=True),
    Stage(
        "machine by machine",
        partial(rejection, steps=40, objective="reject-hinge-one"),
        norms=BALLS,
        rejecting=True,
    ),
    Stage("squares", partial(square, queries=150), norms=BALLS, blind=True),
    Stage("towards a class, longer", partial(apgd_t, steps=40, classes=4), "near"),
    Stage(
        "cross-entropy from many starts",
        partial(best_of(apgd, restarts=5), steps=100),
        "near",
        norms=("l1",),
    ),
    Stage("more squares", partial(square, queries=600), "near", norms=BALLS, blind=True),
    Stage(
        "past the rejection from many starts",
        partial(best_of(rejection, restarts=20), steps=200),
        norms=BALLS,
        rejecting=True,
    ),
    Stage(
        "margin past the rejection from many starts",
        partial(best_of(apgd, restarts=10), objective=margin),
        rejecting=True,
    ),
    Stage(
        "machine by machine from many starts",
        partial(best_of(rejection, restarts=5), steps=100, objective="reject-hinge"),
        norms=BALLS,
        rejecting=True,
    ),
    Stage(
        "margin, without its scale",
        partial(pgd, steps=200, objective=margin),
        "masked",
        norms=BALLS,
    ),
    Stage("nearest border", partial(over_targets(fab), steps=100), "masked"),
    Stage("many squares", partial(square, queries=5000), "masked", norms=BALLS, blind=True),
    Stage("guessed gradients", partial(spsa, queries=2000), "masked", norms=BALLS, blind=True),
)
