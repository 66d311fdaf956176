"""The rules of the contract, one function each; `epsball.testing` puts attacks through them."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from epsball.attacks import AttackSpec
from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.objectives import cross_entropy, is_adversarial
from epsball.randomness import ImageStreams
from epsball.testing.calls import call, checked, must_raise, seeded
from epsball.testing.problems import ROWS, Blind, MakeProblem, Problem, Wavy, linear_problem
from epsball.types import NORMS, Norm

_TOLERANCE = 1e-6
_SAME = 1e-6  # two results in float64
_LAST_BITS = (1e-15, -1e-15, 2e-15, -2e-15, 4e-15, -4e-15)


def check_ball_and_box(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem
) -> None:
    """Results lie within eps and within [0, 1], with and without targets."""
    for classes, targeted, eps in ((3, False, 0.05), (3, True, 0.3), (2, False, 0.3), (2, True, 1)):
        p = make(seed, classes)
        targets = p.targets if targeted else None
        made = call(
            spec,
            p.model,
            p.inputs,
            p.labels,
            eps=eps,
            norm=norm,
            targets=targets,
            generator=seeded(),
        )
        checked(made.shape == p.inputs.shape, "return images of the same shape")
        if spec.takes_eps:
            length = size((made - p.inputs).double(), norm)
            checked(
                bool((length <= eps + _TOLERANCE).all()),
                "stay within eps",
                norm=norm,
                eps=eps,
                farthest=float(length.max()),
            )
        low, high = float(made.min()), float(made.max())
        checked(low >= 0 and high <= 1, "stay within [0, 1]", lowest=low, highest=high)


def check_pure(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """Nothing is changed; the same generator gives the same result; the grad mode is irrelevant."""
    p = make(seed, 3)
    before, inputs, labels = p.state(), p.inputs.clone(), p.labels.clone()

    def run() -> Tensor:
        return call(spec, p.model, p.inputs, p.labels, eps=0.2, norm=norm, generator=seeded())

    first = run()
    checked(torch.equal(first, run()), "give the same result for the same generator")
    checked(not first.requires_grad, "return images without gradient")
    with torch.no_grad():
        checked(torch.equal(first, run()), "ignore the caller's grad mode")
    checked(torch.equal(p.inputs, inputs), "leave the inputs as they are")
    checked(torch.equal(p.labels, labels), "leave the labels as they are")
    checked(not p.inputs.requires_grad, "leave the inputs without gradient")
    after = p.state()
    same = all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    checked(same and before[1:] == after[1:], "leave the model as it is")


def check_rows_alone(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """With one random stream an image, what an image is given does not depend on its batch."""
    if spec.adaptive:
        return
    p = make(seed, 3)
    # another batch sums in another order: in float32 an image at a fork of its walk may take the
    # other way for a last bit
    model, inputs = p.model.double(), p.inputs.double()

    def run(images: Tensor, rows: slice) -> Tensor:
        streams = ImageStreams.of(range(ROWS)[rows], seed=seed, purpose="contract")
        return call(
            spec, model, images[rows], p.labels[rows], eps=0.2, norm=norm, generator=streams
        )

    part, everything = slice(4, 7), slice(None)
    whole = run(inputs, everything)[part]
    apart = (whole - run(inputs, part)).flatten(1).abs().amax(1)
    if bool((apart >= _SAME).any()):
        # a walk that a last bit of the clean image sends elsewhere tells nothing of batches
        steady = torch.ones_like(apart, dtype=torch.bool)
        for bit in _LAST_BITS:
            nudged = run(inputs + bit * (0.5 - inputs), everything)[part]
            steady &= (nudged - whole).flatten(1).abs().amax(1) < _SAME
        apart = apart[steady]
    farthest = float(apart.max()) if len(apart) else 0.0
    checked(farthest < _SAME, "give an image the same result in any batch", differs=farthest)


def check_eps_zero(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """With eps = 0 the clean images come back."""
    if not spec.takes_eps:
        return
    p = make(seed, 3)
    made = call(spec, p.model, p.inputs, p.labels, eps=0.0, norm=norm, generator=seeded())
    checked(torch.equal(made, p.inputs), "return the clean images for eps = 0")


def check_bad_input(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """Wrong arguments raise errors of ours."""
    p = make(seed, 3)
    strange = next(n for n in (*NORMS, "l7") if n not in spec.norms)
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
        cases.append(("refuse an eps, which it has no use for", InvalidInput, {"eps": 0.1}))
    if takes_norm:
        cases.append((f"refuse the norm {strange}", UnsupportedNorm, {"norm": strange}))
        radius |= {"norm": norm}
    if "queries" in spec.knobs:
        cases.append(("refuse a query budget of 0", InvalidInput, {"queries": 0}))
    if "steps" in spec.knobs:
        cases.append(("refuse 0 steps", InvalidInput, {"steps": 0}))
    for rule, error, changes in cases:
        arguments = radius | {"generator": seeded()} | changes
        asked = partial(spec.attack, p.model, p.inputs, p.labels, **arguments)
        must_raise(rule, error, asked)


def check_linear_oracle(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """On a linear model a gradient attack wins just beyond the known distance, never before it."""
    if not (spec.needs_gradient and spec.takes_eps):
        return
    model, inputs, labels = linear_problem(seed, classes=2)
    for i, distance in enumerate(model.distance(inputs, labels, norm).tolist()):
        row = slice(i, i + 1)
        for factor, wins in ((0.98, False), (1.02, True)):
            eps = distance * factor
            made = call(
                spec, model, inputs[row], labels[row], eps=eps, norm=norm, generator=seeded()
            )
            won = bool(is_adversarial(model(made), labels[row])[0])
            checked(
                won == wins,
                f"{'win' if wins else 'not win'} at {factor} of the true distance",
                norm=norm,
                eps=eps,
            )


def check_targets(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """A gradient attack with room enough reaches the class it is asked for, whichever that is."""
    if not spec.needs_gradient or spec.kind == "other":
        return
    model, inputs, labels = linear_problem(seed, classes=3)
    eps = 0.4 if norm == "linf" else 1.5
    for shift in (1, 2):
        targets = (labels + shift) % 3
        made = call(
            spec, model, inputs, labels, eps=eps, norm=norm, targets=targets, generator=seeded()
        )
        reached = int((model(made).argmax(1) == targets).sum())
        checked(reached == len(targets), "reach its targets", reached=reached, of=len(targets))


def check_strongest_point(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem
) -> None:
    """An attack that keeps the best returns nothing weaker than any point the model was shown."""
    if spec.keeps == "last" or not spec.takes_eps:
        return
    eps = 0.3
    for targeted in (False, True):
        p = make(seed, 3)
        p.model = p.model if p.rejects else Wavy(seed)
        targets, shown = p.targets if targeted else None, list[Tensor]()
        heard = p.model.register_forward_pre_hook(partial(_note, shown))
        made = call(
            spec,
            p.model,
            p.inputs,
            p.labels,
            eps=eps,
            norm=norm,
            targets=targets,
            generator=seeded(),
        )
        heard.remove()
        best = _rank(p, made, targets, spec)
        for point in (one for one in shown if len(one) == ROWS):
            inside = size(point - p.inputs, norm) <= eps + _TOLERANCE
            weaker = inside & (best < _rank(p, point, targets, spec) - 1e-5)
            checked(not weaker.any(), "return the strongest point it saw", weaker=int(weaker.sum()))


def _note(shown: list[Tensor], _: object, given: tuple[Tensor, ...]) -> None:
    shown.append(given[0].detach().clone())


def _rank(p: Problem, points: Tensor, targets: Tensor | None, spec: AttackSpec) -> Tensor:
    """Rank by (won, objective): winning is worth more than any value of the objective."""
    won = p.won(points, targets).float()
    if spec.keeps == "won" or p.rejects:  # what is climbed past a rejection is each attack's own
        return won
    goal, sign = (p.labels, 1) if targets is None else (targets, -1)
    return 1e3 * won + sign * cross_entropy(p.scores(points), goal)


def check_sweep(spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem) -> None:
    """Several eps at once give what separate calls give."""
    if spec.sweep is None:
        return
    p, radii = make(seed, 3), (0.0, 0.1, 0.4)
    swept = spec.sweep(p.model, p.inputs, p.labels, eps=radii, norm=norm, generator=seeded())
    for eps, made in zip(radii, swept, strict=True):
        alone = call(spec, p.model, p.inputs, p.labels, eps=eps, norm=norm, generator=seeded())
        checked(torch.equal(made, alone), "sweep to what separate calls give", eps=eps)


def check_gradient_needed(
    spec: AttackSpec, norm: Norm, seed: int, make: MakeProblem = Problem
) -> None:
    """A model without gradient is refused by an attack that needs one, and by no other."""
    p = make(seed, 3)

    blind = Blind(p.model)

    def ask() -> object:
        return call(spec, blind, p.inputs, p.labels, eps=0.1, norm=norm, generator=seeded())

    if spec.needs_gradient:
        must_raise("refuse a model without gradient", InvalidInput, ask)
    else:
        ask()
