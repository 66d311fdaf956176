"""Rules for attacks that minimise the distance, and for those with a query budget."""

from epsball.attacks import AttackSpec
from epsball.geometry import size
from epsball.objectives import is_adversarial
from epsball.testing.calls import call, require, seeded
from epsball.testing.problems import ROWS, MakeProblem, Problem, QueryCounter, linear_problem
from epsball.types import Norm

# multiples of the true distance; attacks without gradient are less exact
_NEAR, _NEAR_WITHOUT_GRADIENT = 1.05, 2.0


def check_nearest(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """A minimal attack returns an adversarial image near the boundary, or the clean one."""
    p = make(seed, 3)
    adversarial = call(spec, p.model, p.inputs, p.labels, norm=norm, generator=seeded())
    clean = (adversarial == p.inputs).flatten(1).all(1)
    require(
        bool((clean | p.success(adversarial)).all()),
        "return an adversarial image, or the clean one",
    )
    wrong = p.success(p.inputs)
    require(bool(clean[wrong].all()), "not change images that are misclassified already")
    if norm == "l0" or p.rejects:
        return  # no closed form for the distance
    model, inputs, labels = linear_problem(seed, classes=2)
    more = {"queries": 5000} if "queries" in spec.knobs else {}
    adversarial = call(spec, model, inputs, labels, norm=norm, generator=seeded(), **more)
    require(
        bool(is_adversarial(model(adversarial), labels).all()),
        "cross the boundary of a linear model",
    )
    ratio = size(adversarial - inputs, norm) / model.distance(inputs, labels, norm)
    limit = _NEAR if spec.needs_gradient else _NEAR_WITHOUT_GRADIENT
    require(
        bool((ratio <= limit).all()),
        f"come within {limit} times the distance to the boundary",
        norm=norm,
        ratio=float(ratio.max()),
    )


def check_query_budget(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem
) -> None:
    """No image is queried more often than `queries` allows."""
    p = make(seed, 3)
    for queries in (1, 2, 7, 60):
        model = QueryCounter(p.model, ROWS)
        call(
            spec,
            model,
            p.inputs,
            p.labels,
            eps=0.02,
            norm=norm,
            queries=queries,
            generator=seeded(),
        )
        largest = int(model.queries.max())
        require(largest <= queries, "keep its query budget", queries=queries, used=largest)
