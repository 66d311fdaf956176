"""Rules for every attack: ball and box, purity, independence of the batch, refusals, oracles."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from epsball.attacks import AttackSpec
from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.objectives import cross_entropy, is_adversarial
from epsball.randomness import ImageStreams
from epsball.testing.calls import call, must_raise, require, seeded
from epsball.testing.problems import (
    ROWS,
    MakeProblem,
    Problem,
    Wavy,
    WithoutGradient,
    linear_problem,
)
from epsball.types import NORMS, Norm

_TOLERANCE = 1e-6
_SAME = 1e-6  # two results in float64
_LAST_BITS = (1e-15, -1e-15, 2e-15, -2e-15, 4e-15, -4e-15)


def check_ball_and_box(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem
) -> None:
    """Results lie within eps and within [0, 1], with and without targets."""
    # after one step the random start is often still the best point
    one_step = {"steps": 1} if "steps" in spec.knobs else {}
    for classes, targeted, eps in ((3, False, 0.05), (3, True, 0.3), (2, False, 0.3), (2, True, 1)):
        p = make(seed, classes)
        settings: dict[str, Any] = {"eps": eps, "norm": norm}
        settings |= {"targets": p.targets} if targeted else {}
        settings |= one_step if eps == 1 else {}
        adversarial = call(spec, p.model, p.inputs, p.labels, generator=seeded(), **settings)
        require(adversarial.shape == p.inputs.shape, "return images of the same shape")
        if spec.takes_eps:
            length = size((adversarial - p.inputs).double(), norm)
            require(
                bool((length <= eps + _TOLERANCE).all()),
                "stay within eps",
                norm=norm,
                eps=eps,
                largest=float(length.max()),
            )
        low, high = float(adversarial.min()), float(adversarial.max())
        require(low >= 0 and high <= 1, "stay within [0, 1]", lowest=low, highest=high)


def check_pure(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """No argument is changed; the same generator gives the same result in any grad mode."""
    p = make(seed, 3)
    before, inputs, labels = p.state(), p.inputs.clone(), p.labels.clone()

    def run() -> Tensor:
        return call(spec, p.model, p.inputs, p.labels, eps=0.2, norm=norm, generator=seeded())

    first = run()
    require(torch.equal(first, run()), "give the same result for the same generator")
    require(not first.requires_grad, "return images without gradient")
    with torch.no_grad():
        require(torch.equal(first, run()), "ignore the caller's grad mode")
    require(torch.equal(p.inputs, inputs), "leave the inputs as they are")
    require(torch.equal(p.labels, labels), "leave the labels as they are")
    require(not p.inputs.requires_grad, "leave the inputs without gradient")
    after = p.state()
    same = all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    require(same and before[1:] == after[1:], "leave the model as it is")


def check_rows_alone(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """With one random stream per image, the result for an image does not depend on its batch."""
    p = make(seed, 3)
    # another batch sums in another order: in float32 rounding alone can change the path of an image
    model, inputs = p.model.double(), p.inputs.double()

    def run(images: Tensor, rows: slice) -> Tensor:
        streams = ImageStreams.of(range(ROWS)[rows], seed=seed, purpose="contract")
        return call(
            spec, model, images[rows], p.labels[rows], eps=0.2, norm=norm, generator=streams
        )

    part, everything = slice(4, 7), slice(None)
    whole = run(inputs, everything)[part]
    difference = (whole - run(inputs, part)).flatten(1).abs().amax(1)
    if bool((difference >= _SAME).any()):
        # skip images whose path changes when the clean image is changed in its last bits
        stable = torch.ones_like(difference, dtype=torch.bool)
        for bit in _LAST_BITS:
            perturbed = run(inputs + bit * (0.5 - inputs), everything)[part]
            stable &= (perturbed - whole).flatten(1).abs().amax(1) < _SAME
        difference = difference[stable]
    largest = float(difference.max()) if len(difference) else 0.0
    require(largest < _SAME, "give an image the same result in any batch", difference=largest)


def check_eps_zero(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """With eps = 0 an attack returns the clean images."""
    p = make(seed, 3)
    adversarial = call(spec, p.model, p.inputs, p.labels, eps=0.0, norm=norm, generator=seeded())
    require(torch.equal(adversarial, p.inputs), "return the clean images for eps = 0")


def check_bad_input(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """Wrong arguments raise errors of ours."""
    p = make(seed, 3)
    unsupported = next(n for n in (*NORMS, "l7") if n not in spec.norms)
    takes_norm = spec.takes_norm
    radius: dict[str, Any] = {"eps": 0.1} if spec.takes_eps else {}
    cases: list[tuple[str, type[Exception], dict[str, Any]]] = [
        ("refuse targets equal to the labels", InvalidInput, {"targets": p.labels}),
        ("refuse targets of another length", InvalidInput, {"targets": p.targets[:2]}),
        ("refuse targets that are no classes", InvalidInput, {"targets": p.targets.float()}),
    ]
    if spec.takes_eps:
        cases += [
            ("refuse a negative eps", InvalidInput, {"eps": -0.1}),
            ("refuse an infinite eps", InvalidInput, {"eps": float("inf")}),
        ]
    elif spec.kind == "minimal":
        cases.append(("refuse an eps, which it does not take", InvalidInput, {"eps": 0.1}))
    if takes_norm:
        cases.append((f"refuse the norm {unsupported}", UnsupportedNorm, {"norm": unsupported}))
        radius |= {"norm": norm}
    if "queries" in spec.knobs:
        cases.append(("refuse a query budget of 0", InvalidInput, {"queries": 0}))
    if "steps" in spec.knobs:
        cases.append(("refuse 0 steps", InvalidInput, {"steps": 0}))
    for rule, error, changes in cases:
        arguments = radius | {"generator": seeded()} | changes
        must_raise(rule, error, partial(spec.attack, p.model, p.inputs, p.labels, **arguments))


def check_linear_oracle(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """On a linear model a gradient attack succeeds just beyond the known distance, not below."""
    model, inputs, labels = linear_problem(seed, classes=2)
    for i, distance in enumerate(model.distance(inputs, labels, norm).tolist()):
        row = slice(i, i + 1)
        for factor, expected in ((0.98, False), (1.02, True)):
            eps = distance * factor
            adversarial = call(
                spec, model, inputs[row], labels[row], eps=eps, norm=norm, generator=seeded()
            )
            success = bool(is_adversarial(model(adversarial), labels[row])[0])
            require(
                success == expected,
                f"{'succeed' if expected else 'not succeed'} at {factor} of the true distance",
                norm=norm,
                eps=eps,
            )


def check_targets(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """A gradient attack with a large eps reaches its target, whichever class that is."""
    model, inputs, labels = linear_problem(seed, classes=3)
    eps = 0.4 if norm == "linf" else 1.5
    for shift in (1, 2):
        targets = (labels + shift) % 3
        adversarial = call(
            spec, model, inputs, labels, eps=eps, norm=norm, targets=targets, generator=seeded()
        )
        reached = int((model(adversarial).argmax(1) == targets).sum())
        require(reached == len(targets), "reach its targets", reached=reached, of=len(targets))


def check_strongest_point(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem
) -> None:
    """An attack that keeps the best point returns none weaker than any it queried."""
    eps = 0.3
    for targeted in (False, True):
        p = make(seed, 3)
        p.model = p.model if p.rejects else Wavy(seed)
        targets, queried = p.targets if targeted else None, list[Tensor]()
        hook = p.model.register_forward_pre_hook(partial(_record, queried))
        adversarial = call(
            spec,
            p.model,
            p.inputs,
            p.labels,
            eps=eps,
            norm=norm,
            targets=targets,
            generator=seeded(),
        )
        hook.remove()
        best = _rank(p, adversarial, targets, spec)
        for point in (one for one in queried if len(one) == ROWS):
            inside = size(point - p.inputs, norm) <= eps + _TOLERANCE
            weaker = inside & (best < _rank(p, point, targets, spec) - 1e-5)
            require(
                not weaker.any(), "return the strongest point it queried", weaker=int(weaker.sum())
            )


def _record(queried: list[Tensor], _: object, arguments: tuple[Tensor, ...]) -> None:
    queried.append(arguments[0].detach().clone())


def _rank(p: Problem, points: Tensor, targets: Tensor | None, spec: AttackSpec) -> Tensor:
    """Rank by (success, objective): success outranks any value of the objective."""
    success = p.success(points, targets).float()
    if spec.keeps == "success" or p.rejects:  # objectives differ between attacks
        return success
    goal, sign = (p.labels, 1) if targets is None else (targets, -1)
    return 1e3 * success + sign * cross_entropy(p.scores(points), goal)


def check_sweep(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """A sweep over several eps returns what separate calls return."""
    p, radii = make(seed, 3), (0.0, 0.1, 0.4)
    sweep = cast("Callable[..., list[Tensor]]", spec.sweep)
    swept = sweep(p.model, p.inputs, p.labels, eps=radii, norm=norm, generator=seeded())
    for eps, adversarial in zip(radii, swept, strict=True):
        separate = call(spec, p.model, p.inputs, p.labels, eps=eps, norm=norm, generator=seeded())
        require(
            torch.equal(adversarial, separate),
            "return in a sweep what separate calls return",
            eps=eps,
        )


def check_gradient_needed(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem
) -> None:
    """A model without gradient is refused by an attack that needs one, and by no other."""
    p = make(seed, 3)

    blind = WithoutGradient(p.model)

    def attack() -> object:
        return call(spec, blind, p.inputs, p.labels, eps=0.1, norm=norm, generator=seeded())

    if spec.needs_gradient:
        must_raise("refuse a model without gradient", InvalidInput, attack)
    else:
        attack()
