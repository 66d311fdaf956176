"""What the engine, the command line and the tests have to know of an attack."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from epsball.tensors import Images
from epsball.types import Norm, Passes

Kind: TypeAlias = Literal["budget", "minimal", "query", "other"]
# what every attack is given; the rest of its signature are settings of its own
_SHARED = {
    "model",
    "inputs",
    "labels",
    "eps",
    "norm",
    "targets",
    "generator",
    "search",
    "starts",
}


@dataclass(frozen=True)
class AttackSpec:
    """One attack, and what the engine has to know of it.

    Args:
        attack: the function, with the house signature.
        kind: "budget" needs eps; "minimal" takes none and finds the nearest adversarial image;
            "query" sees only scores or labels; "other" moves images in no ball at all.
        norms: the norms it is defined for.
        source: where it comes from.
        needs_gradient: whether the model must be differentiable.
        random: whether another generator gives another result, so that restarts help.
        keeps: what it returns: the "best" point seen, by (fooled, cross-entropy); one that
            "success", if any point seen did; or the "last".
        composite: it runs other attacks in turn: each call is expensive, and gradients are followed
            where there are any.
        averages: it follows gradients averaged over changed images: what it reaches on the model
            it is made on is not the most that a gradient reaches there.
        takes_targets: whether it can be told which class to reach.
        foretold: from its settings, the passes of an image which nothing fools at one eps, about;
            None: steps times classes, or queries.
        needs_boxes: it works on models that show their boxes, and on no others.
        sweep: the same attack at several eps at once, where that is cheaper.
    """

    attack: Callable[..., Images]
    kind: Kind
    norms: tuple[Norm, ...]
    source: str
    needs_gradient: bool = True
    random: bool = False
    keeps: Literal["best", "success", "last"] = "best"
    composite: bool = False
    averages: bool = False
    takes_targets: bool = True
    foretold: Callable[[Mapping[str, Any]], Passes] | None = None
    needs_boxes: bool = False
    sweep: Callable[..., list[Images]] | None = None

    @property
    def summary(self) -> str:
        """Return the first line of the attack's docstring."""
        return (inspect.getdoc(self.attack) or "").partition("\n")[0]

    @property
    def knobs(self) -> dict[str, Any]:
        """Return the method's own settings and their defaults."""
        parameters = inspect.signature(self.attack).parameters
        return {n: p.default for n, p in parameters.items() if n not in _SHARED}

    def passes(self, given: Mapping[str, Any]) -> Passes:
        """Return the passes of an image which nothing fools at one eps, about.

        Args:
            given: its own settings; those left out have their defaults.
        """
        given = self.knobs | dict(given)
        if self.foretold is not None:
            return self.foretold(given)
        if self.needs_gradient:
            gradients = int(given.get("steps", 1)) * int(given.get("classes", 1) or 1)
            return Passes(gradients, gradients)
        return Passes(int(given.get("queries", 0) or 0))

    @property
    def takes_eps(self) -> bool:
        """Say whether it searches a ball of a given radius."""
        return self._takes("eps")

    @property
    def takes_norm(self) -> bool:
        """Say whether a ball is meant at all."""
        return self._takes("norm")

    def _takes(self, name: str) -> bool:
        parameters = inspect.signature(self.attack).parameters
        anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        return name in parameters or anything

    @property
    def takes_starts(self) -> bool:
        """Say whether it begins at images that fool the model, where it is given some."""
        return "starts" in inspect.signature(self.attack).parameters

    @property
    def takes_search(self) -> bool:
        """Say whether it can be told what work it may save."""
        return "search" in inspect.signature(self.attack).parameters
