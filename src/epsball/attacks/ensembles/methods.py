"""The attacks that `strongest` gives turns to, each with its budgets."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from epsball.attacks.black_box.spsa import spsa
from epsball.attacks.black_box.square import square
from epsball.attacks.combine.best_of import best_of
from epsball.attacks.combine.over_targets import over_targets
from epsball.attacks.gradient.apgd import apgd
from epsball.attacks.gradient.apgd_t import apgd_t
from epsball.attacks.gradient.pgd import pgd
from epsball.attacks.gradient.rejection import rejection
from epsball.attacks.nearest.fab import fab
from epsball.objectives import margin
from epsball.tensors import Images
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")


@dataclass(frozen=True)
class Method:
    """One attack with the shares of work it is given, one after another.

    Args:
        name: for the reader.
        shares: attacks with their settings filled in, each dearer than the one before; a share is
            given only if the one before it fooled something.
        norms: where it is defined.
        masked: it is for models that hide their gradients, and waits until there is reason.
        blind: it needs no gradient.
        rejecting: it is for models that reject.
    """

    name: str
    shares: tuple[Callable[..., Images], ...]
    norms: tuple[Norm, ...] = NORMS
    masked: bool = False
    blind: bool = False
    rejecting: bool = False


# the last shares are standard AutoAttack's own budgets, or more
METHODS: tuple[Method, ...] = (
    Method(
        "cross-entropy",
        (
            partial(apgd, steps=10),
            partial(apgd, steps=100),
            partial(best_of(apgd, restarts=10), steps=100),
        ),
    ),
    Method(
        "towards a class",
        (
            partial(apgd_t, steps=15, classes=3),
            partial(apgd_t, steps=40, classes=9),
            partial(apgd_t, steps=100, classes=9),
        ),
    ),
    # far from what a rejecting model knows its gradients are weak: many starts, no softmax
    Method(
        "past the rejection",
        (
            partial(rejection, steps=40),
            partial(best_of(rejection, restarts=5), steps=100),
            partial(best_of(rejection, restarts=20), steps=200),
        ),
        norms=("linf", "l2"),
        rejecting=True,
    ),
    Method(
        "margin past the rejection",
        tuple(partial(best_of(apgd, restarts=n), objective=margin) for n in (1, 10)),
        rejecting=True,
    ),
    Method(
        "machine by machine",
        (
            partial(rejection, steps=40, objective="reject-hinge-one"),
            partial(best_of(rejection, restarts=5), steps=100, objective="reject-hinge"),
        ),
        norms=("linf", "l2"),
        rejecting=True,
    ),
    Method(
        "squares",
        tuple(partial(square, queries=number) for number in (150, 1000, 5000)),
        norms=("linf", "l2"),
        blind=True,
    ),
    Method(
        "margin, without its scale",
        (partial(pgd, steps=40, objective=margin), partial(pgd, steps=200, objective=margin)),
        norms=("linf", "l2"),
        masked=True,
    ),
    Method(
        "nearest border",
        (partial(over_targets(fab, count=3), steps=20), partial(over_targets(fab), steps=100)),
        masked=True,
    ),
    Method(
        "guessed gradients",
        (partial(spsa, queries=2000),),
        norms=("linf", "l2"),
        masked=True,
        blind=True,
    ),
)
