"""The stages of `strongest`: which attack, with which budget, on which of the images left."""

import inspect
import sys
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
from epsball.attacks.spec import AttackSpec
from epsball.objectives import margin
from epsball.tensors import Images
from epsball.types import Norm, Passes

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")
BALLS: tuple[Norm, ...] = ("linf", "l2")

# left: every image that no stage has fooled; near: those of them that have lost most of the lead
# of their label; masked: those whose gradient is zero, or where squares came much nearer to the
# border than gradients had
When = Literal["left", "near", "masked"]
# of the images that nothing fools, how many such a stage is run on: measured on base-cnn-robust;
# the cost of masked gradients cannot be foretold
SHARES: dict[When, float] = {"left": 1.0, "near": 0.1, "masked": 0.0}


@dataclass(frozen=True)
class Stage:
    """One attack with its budget, and the images it is for.

    Args:
        name: for the reader.
        attack: with its settings filled in.
        when: which of the images left it is run on; each image is judged by itself.
        norms: where it is defined.
        restarts: how often it runs.
        blind: it needs no gradient; where it comes nearer than gradients did, they are masked.
        rejecting: it is for models that reject.
    """

    name: str
    attack: Callable[..., Images]
    when: When = "left"
    norms: tuple[Norm, ...] = NORMS
    restarts: int = 1
    blind: bool = False
    rejecting: bool = False

    @property
    def repeated(self) -> Callable[..., Images]:
        """Return the attack with its restarts."""
        return best_of(self.attack, restarts=self.restarts)

    @property
    def passes(self) -> Passes:
        """Return what an image costs that it is run on and does not fool, about."""
        given = self.attack.keywords if isinstance(self.attack, partial) else {}
        method = inspect.unwrap(
            self.attack.func if isinstance(self.attack, partial) else self.attack
        )
        spec: AttackSpec = sys.modules[method.__module__].SPEC
        return spec.passes(given).times(self.restarts)


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
        partial(apgd, steps=100),
        "near",
        norms=("l1",),
        restarts=5,
    ),
    Stage("more squares", partial(square, queries=600), "near", norms=BALLS, blind=True),
    Stage(
        "past the rejection from many starts",
        partial(rejection, steps=200),
        restarts=20,
        norms=BALLS,
        rejecting=True,
    ),
    Stage(
        "margin past the rejection from many starts",
        partial(apgd, objective=margin),
        restarts=10,
        rejecting=True,
    ),
    Stage(
        "machine by machine from many starts",
        partial(rejection, steps=100, objective="reject-hinge"),
        restarts=5,
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


def foretold(norm: Norm = "linf", *, rejects: bool = False) -> Passes:
    """Return what an image that no stage fools costs, about."""
    total = Passes()
    for stage in STAGES:
        if norm in stage.norms and (rejects or not stage.rejecting):
            total += stage.passes.times(SHARES[stage.when])
    return total
