"""Rules for attacks on models that reject: only an accepted wrong class is a success."""

from typing import Any

import torch
from torch import Tensor, nn

from epsball.attacks import AttackSpec
from epsball.geometry import size
from epsball.objectives import is_adversarial
from epsball.testing.calls import call, checked, seeded
from epsball.testing.problems import Doubting, MakeProblem, Problem, banded_problem
from epsball.types import Norm, Search

# of the true distance; blind attacks only come near
_NEAR, _NEAR_BLIND = 1.1, 2.0
# short of the true distance, and beyond it: what does not see the rejection needs 1.4 times as much
_BEFORE, _BEYOND = 0.98, 1.02
# radii within which there is a way in for almost every image, and the share that has to find it:
# to some class, to one class in few steps
_ROOM = {"linf": 0.5, "l2": 2.0, "l1": 8.0}
_TURNED = {False: 0.5, True: 0.1}


def check_past_rejection(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """Being rejected is on the way: a gradient attack goes through it and wins just beyond."""
    if not (spec.takes_eps and (spec.needs_gradient or spec.adaptive)):
        return
    searches: list[dict[str, Any]] = [{}, {"search": Search()}]
    for tilted in _tilts(norm):
        model, inputs, labels = banded_problem(seed, tilted=tilted)
        for more in searches[: 1 + spec.takes_search]:
            for i, distance in enumerate(model.distance(inputs, labels, norm).tolist()):
                row = slice(i, i + 1)
                # before the edge there is nothing to win, with a search or without: tried once
                asked = ((_BEFORE, False), (_BEYOND, True))[bool(more) :]
                for factor, wins in asked:
                    made = call(
                        spec,
                        model,
                        inputs[row],
                        labels[row],
                        eps=distance * factor,
                        norm=norm,
                        generator=seeded(),
                        **more,
                    )
                    won = bool(_fooled(model, made, labels[row])[0])
                    checked(
                        won == wins,
                        f"{'win' if wins else 'not win'} against a model that rejects, at "
                        f"{factor} of the true distance",
                        norm=norm,
                        tilted=tilted,
                        eps=distance * factor,
                    )


def _tilts(norm: Norm) -> tuple[bool, ...]:
    """Leave out what has no closed form: in l1 a tilted band is met at two edges at once."""
    return (False,) if norm == "l1" else (False, True)


def check_nearest_past_rejection(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """What takes no eps returns the nearest accepted wrong image, not a rejected one."""
    if spec.takes_eps or not spec.takes_norm or norm == "l0":
        return
    more = {"queries": 5000} if "queries" in spec.knobs else {}
    for tilted in _tilts(norm):
        model, inputs, labels = banded_problem(seed, tilted=tilted)
        made = call(spec, model, inputs, labels, norm=norm, generator=seeded(), **more)
        fooled = int(_fooled(model, made, labels).sum())
        checked(fooled == len(made), "find the far edge of a rejecting model", fooled=fooled)
        ratio = size(made - inputs, norm) / model.distance(inputs, labels, norm)
        bar = _NEAR if spec.needs_gradient else _NEAR_BLIND
        checked(
            bool((ratio <= bar).all()),
            f"come within {bar} of the nearest accepted wrong image",
            norm=norm,
            tilted=tilted,
            ratio=float(ratio.max()),
        )


def doubting(seed: int, classes: int) -> Problem:
    """Make a problem of a model that rejects where no score is high."""
    p = Problem(seed, classes)
    return Problem(seed, classes, Doubting(p.model, classes, bar=2.0).eval())


def check_never_worse_than_clean(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = doubting
) -> None:
    """Of a model that rejects, an image that is accepted as a wrong class stays so."""
    if spec.keeps == "last":
        return
    for classes, targeted in ((3, False), (3, True), (2, False)):
        p = make(seed, classes)
        targets = p.targets if targeted else None
        made = call(
            spec,
            p.model,
            p.inputs,
            p.labels,
            eps=0.05,
            norm=norm,
            targets=targets,
            generator=seeded(),
        )
        lost = int((p.won(p.inputs, targets) & ~p.won(made, targets)).sum())
        checked(lost == 0, "keep an image that fools a rejecting model already", lost=lost)
        if not spec.takes_eps and spec.takes_norm:
            moved = (made != p.inputs).flatten(1).any(1)
            rejected = int((moved & ~p.won(made, targets)).sum())
            checked(rejected == 0, "move no image in vain", moved=rejected)


def check_gets_in(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = doubting) -> None:
    """A gradient attack with room enough gets images accepted as another class, or as its target.

    Images that are right at first are among them, and such as are rejected.
    """
    if not spec.needs_gradient or spec.kind == "other" or spec.keeps == "last" or norm == "l0":
        return
    for targeted in (False, True):
        p = make(seed, 3)
        targets = p.targets if targeted else None
        made = call(
            spec,
            p.model,
            p.inputs,
            p.labels,
            eps=_ROOM[norm],
            norm=norm,
            targets=targets,
            generator=seeded(),
        )
        left = ~p.won(p.inputs, targets)
        turned, of = int((p.won(made, targets) & left).sum()), int(left.sum())
        checked(
            turned >= _TURNED[targeted] * of,
            "get in where it is right or rejects at first",
            norm=norm,
            targeted=targeted,
            turned=turned,
            of=of,
        )


def _fooled(model: nn.Module, points: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        scores = model(points)
    return is_adversarial(scores, labels, classes=scores.shape[1] - 1)
