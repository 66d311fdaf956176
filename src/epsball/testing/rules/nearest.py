"""Rules for attacks that look for the nearest image, and for those that count their queries."""

from epsball.attacks import AttackSpec
from epsball.geometry import size
from epsball.objectives import is_adversarial
from epsball.testing.calls import call, checked, seeded
from epsball.testing.problems import ROWS, Counting, MakeProblem, Problem, linear_problem
from epsball.types import Norm

# of the true distance; blind attacks only come near
_NEAR, _NEAR_BLIND = 1.05, 2.0


def check_nearest(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """What takes no eps returns a fooled image near the border, or the clean one."""
    if spec.takes_eps or not spec.takes_norm:
        return
    p = make(seed, 3)
    made = call(spec, p.model, p.inputs, p.labels, norm=norm, generator=seeded())
    clean = (made == p.inputs).flatten(1).all(1)
    checked(bool((clean | p.won(made)).all()), "return a fooled image, or the clean one")
    wrong = p.won(p.inputs)
    checked(bool(clean[wrong].all()), "leave images as they are that are wrong already")
    if norm == "l0" or p.rejects:
        return  # how many entries the border is away is no closed form
    model, inputs, labels = linear_problem(seed, classes=2)
    more = {"queries": 5000} if "queries" in spec.knobs else {}
    made = call(spec, model, inputs, labels, norm=norm, generator=seeded(), **more)
    checked(bool(is_adversarial(model(made), labels).all()), "find the border of a linear model")
    ratio = size(made - inputs, norm) / model.distance(inputs, labels, norm)
    bar = _NEAR if spec.needs_gradient else _NEAR_BLIND
    checked(
        bool((ratio <= bar).all()),
        f"come within {bar} of the nearest border",
        norm=norm,
        ratio=float(ratio.max()),
    )


def check_query_budget(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem
) -> None:
    """No image is asked about more often than `queries` says."""
    if spec.kind != "query":
        return
    p = make(seed, 3)
    for queries in (1, 2, 7, 60):
        model = Counting(p.model, ROWS)
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
        most = int(model.asked.max())
        checked(most <= queries, "keep its query budget", queries=queries, asked=most)
