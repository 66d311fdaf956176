"""Rules for attacks on models that reject: only an accepted wrong class is a success."""

from typing import Any

import torch
from torch import Tensor, nn

from epsball.attacks import AttackSpec
from epsball.geometry import size
from epsball.objectives import is_adversarial
from epsball.testing.calls import call, require, seeded
from epsball.testing.problems import MakeProblem, Problem, ThresholdRejector, band_problem
from epsball.types import Norm, Search

# multiples of the true distance; attacks without gradient are less exact
_NEAR, _NEAR_WITHOUT_GRADIENT = 1.1, 2.0
# multiples of the true distance; an attack that ignores the rejection needs 1.4
_BELOW, _BEYOND = 0.98, 1.02
# radii within which almost every image can be accepted as another class, and the share for which
# an attack has to achieve that: untargeted, and targeted in few steps
_RADIUS = {"linf": 0.5, "l2": 2.0, "l1": 8.0}
_LEAST_SHARE = {False: 0.5, True: 0.1}


def check_past_rejection(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """A gradient attack crosses the rejection band and succeeds just beyond it."""
    searches: list[dict[str, Any]] = [{}, {"search": Search()}]
    for tilted in _tilts(norm):
        model, inputs, labels = band_problem(seed, tilted=tilted)
        for more in searches[: 1 + spec.takes_search]:
            for i, distance in enumerate(model.distance(inputs, labels, norm).tolist()):
                row = slice(i, i + 1)
                # below the distance no attack can succeed: checked once, without a search
                factors = ((_BELOW, False), (_BEYOND, True))[bool(more) :]
                for factor, expected in factors:
                    adversarial = call(
                        spec,
                        model,
                        inputs[row],
                        labels[row],
                        eps=distance * factor,
                        norm=norm,
                        generator=seeded(),
                        **more,
                    )
                    success = bool(_success(model, adversarial, labels[row])[0])
                    require(
                        success == expected,
                        f"{'succeed' if expected else 'not succeed'} against a model that rejects "
                        f"at {factor} of the true distance",
                        norm=norm,
                        tilted=tilted,
                        eps=distance * factor,
                    )


def _tilts(norm: Norm) -> tuple[bool, ...]:
    """Leave out a tilted band in l1, whose distance has no closed form."""
    return (False,) if norm == "l1" else (False, True)


def check_nearest_past_rejection(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """A minimal attack returns the nearest accepted wrong image, not a rejected one."""
    more = {"queries": 5000} if "queries" in spec.knobs else {}
    for tilted in _tilts(norm):
        model, inputs, labels = band_problem(seed, tilted=tilted)
        adversarial = call(spec, model, inputs, labels, norm=norm, generator=seeded(), **more)
        succeeded = int(_success(model, adversarial, labels).sum())
        require(succeeded == len(adversarial), "cross the rejection band", succeeded=succeeded)
        ratio = size(adversarial - inputs, norm) / model.distance(inputs, labels, norm)
        limit = _NEAR if spec.needs_gradient else _NEAR_WITHOUT_GRADIENT
        require(
            bool((ratio <= limit).all()),
            f"come within {limit} times the distance to the nearest accepted wrong image",
            norm=norm,
            tilted=tilted,
            ratio=float(ratio.max()),
        )


def threshold_problem(seed: int, classes: int) -> Problem:
    """Return a problem whose model rejects where no score is high."""
    p = Problem(seed, classes)
    return Problem(seed, classes, ThresholdRejector(p.model, classes, threshold=2.0).eval())


def check_never_worse_than_clean(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = threshold_problem
) -> None:
    """An image that a rejecting model accepts as a wrong class remains so."""
    for classes, targeted in ((3, False), (3, True), (2, False)):
        p = make(seed, classes)
        targets = p.targets if targeted else None
        adversarial = call(
            spec,
            p.model,
            p.inputs,
            p.labels,
            eps=0.05,
            norm=norm,
            targets=targets,
            generator=seeded(),
        )
        lost = int((p.success(p.inputs, targets) & ~p.success(adversarial, targets)).sum())
        require(
            lost == 0, "keep an image that is adversarial for a rejecting model already", lost=lost
        )
        if not spec.takes_eps and spec.takes_norm:
            moved = (adversarial != p.inputs).flatten(1).any(1)
            rejected = int((moved & ~p.success(adversarial, targets)).sum())
            require(
                rejected == 0, "return the clean image where it does not succeed", moved=rejected
            )


def check_accepted_as_another_class(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = threshold_problem
) -> None:
    """A gradient attack with a large eps gets images accepted as another class, or as its target.

    Some of the clean images are classified correctly, others are rejected.
    """
    for targeted in (False, True):
        p = make(seed, 3)
        targets = p.targets if targeted else None
        adversarial = call(
            spec,
            p.model,
            p.inputs,
            p.labels,
            eps=_RADIUS[norm],
            norm=norm,
            targets=targets,
            generator=seeded(),
        )
        open_ = ~p.success(p.inputs, targets)
        accepted, of = int((p.success(adversarial, targets) & open_).sum()), int(open_.sum())
        require(
            accepted >= _LEAST_SHARE[targeted] * of,
            "be accepted where the clean image is correct or rejected",
            norm=norm,
            targeted=targeted,
            accepted=accepted,
            of=of,
        )


def _success(model: nn.Module, points: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        scores = model(points)
    return is_adversarial(scores, labels, classes=scores.shape[1] - 1)
