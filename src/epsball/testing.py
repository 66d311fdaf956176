"""The contract of an attack, as a function that anyone's attack can be put through.

from epsball.testing import check_attack
check_attack(AttackSpec(my_attack, kind="budget", norms=("linf",), source="..."))
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from epsball._contract_models import ROWS, Problem, Wavy, linear_problem
from epsball.attacks import AttackSpec
from epsball.errors import BrokenContract, InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.objectives import cross_entropy, is_adversarial
from epsball.randomness import ImageStreams
from epsball.types import NORMS, Norm

_TOLERANCE = 1e-6


def check_attack(spec: AttackSpec, *, seed: int = 0) -> None:
    """Put an attack through its contract; return only if it keeps it.

    Args:
        spec: the table's entry, or what is to become one.
        seed: of the small models and pictures it is tried on.

    Raises:
        BrokenContract: the first rule that the attack breaks, with what was seen.

    Example:
        >>> from epsball.attacks import ATTACKS
        >>> check_attack(ATTACKS["fgsm"])
    """
    for norm in spec.norms:
        for check in CHECKS:
            check(spec, norm, seed)


def _generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _checked(keeps: bool, rule: str, **seen: object) -> None:  # noqa: FBT001 - reads as the rule does
    if not keeps:
        found = ", ".join(f"{name}={value}" for name, value in seen.items())
        raise BrokenContract(f"the attack must {rule}; seen: {found or 'otherwise'}")


def check_ball_and_box(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """Results lie within eps and within [0, 1], with and without targets."""
    for classes, targeted, eps in ((3, False, 0.05), (3, True, 0.3), (2, False, 0.3), (2, True, 2)):
        p = Problem(seed, classes)
        targets = p.targets if targeted else None
        made = spec.attack(
            p.model, p.inputs, p.labels, eps=eps, norm=norm, targets=targets, generator=_generator()
        )
        length = size((made - p.inputs).double(), norm)
        _checked(made.shape == p.inputs.shape, "return pictures of the same shape")
        _checked(
            bool((length <= eps + _TOLERANCE).all()), "stay within eps", norm=norm, eps=eps,
            farthest=float(length.max()),
        )  # fmt: skip
        low, high = float(made.min()), float(made.max())
        _checked(low >= 0 and high <= 1, "stay within [0, 1]", lowest=low, highest=high)


def check_pure(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """Nothing is changed; the same generator gives the same result; the grad mode is irrelevant."""
    p = Problem(seed)
    before, inputs, labels = p.state(), p.inputs.clone(), p.labels.clone()

    def run() -> Tensor:
        return spec.attack(p.model, p.inputs, p.labels, eps=0.2, norm=norm, generator=_generator())

    first = run()
    _checked(torch.equal(first, run()), "give the same result for the same generator")
    _checked(not first.requires_grad, "return pictures without gradient")
    with torch.no_grad():
        _checked(torch.equal(first, run()), "ignore the caller's grad mode")
    _checked(torch.equal(p.inputs, inputs), "leave the inputs as they are")
    _checked(torch.equal(p.labels, labels), "leave the labels as they are")
    _checked(not p.inputs.requires_grad, "leave the inputs without gradient")
    after = p.state()
    same = all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    _checked(same and before[1:] == after[1:], "leave the model as it is")


def check_rows_alone(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """With one random stream an image, what an image is given does not depend on its batch."""
    p = Problem(seed)

    def run(rows: slice) -> Tensor:
        streams = ImageStreams.of(range(ROWS)[rows], seed=seed, purpose="contract")
        return spec.attack(
            p.model, p.inputs[rows], p.labels[rows], eps=0.2, norm=norm, generator=streams
        )

    apart = float((run(slice(None))[4:7] - run(slice(4, 7))).abs().max())
    # another batch sums in another order; a sign step turns a last bit into nothing or 2 eps
    _checked(apart < 1e-4, "give an image the same result in any batch", differs=apart)  # noqa: PLR2004


def check_eps_zero(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """With eps = 0 the clean pictures come back."""
    p = Problem(seed)
    made = spec.attack(p.model, p.inputs, p.labels, eps=0.0, norm=norm, generator=_generator())
    _checked(torch.equal(made, p.inputs), "return the clean pictures for eps = 0")


def check_bad_input(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """Wrong arguments raise errors of ours."""
    p = Problem(seed)
    strange = next(n for n in (*NORMS, "l7") if n not in spec.norms)
    cases: list[tuple[str, type[Exception], dict[str, Any]]] = [
        ("refuse a negative eps", InvalidInput, {"eps": -0.1}),
        ("refuse an infinite eps", InvalidInput, {"eps": float("inf")}),
        (f"refuse the norm {strange}", UnsupportedNorm, {"norm": strange}),
        ("refuse targets of another length", InvalidInput, {"targets": p.targets[:2]}),
        ("refuse targets that are no classes", InvalidInput, {"targets": p.targets.float()}),
    ]
    for rule, error, changes in cases:
        arguments = {"eps": 0.1, "norm": norm, "generator": _generator()} | changes
        call = partial(spec.attack, p.model, p.inputs, p.labels, **arguments)
        _must_raise(rule, error, call)


def _must_raise(rule: str, error: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except error:
        return
    except Exception as other:
        raise BrokenContract(
            f"the attack must {rule} with {error.__name__}, got {other!r}"
        ) from other
    raise BrokenContract(f"the attack must {rule} with {error.__name__}, it went on")


def check_linear_oracle(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """On a linear model a gradient attack wins just beyond the known distance, never before it."""
    if not spec.needs_gradient:
        return
    model, inputs, labels = linear_problem(seed, classes=2)
    for i, distance in enumerate(model.distance(inputs, labels, norm).tolist()):
        row = slice(i, i + 1)
        for factor, wins in ((0.98, False), (1.02, True)):
            eps = distance * factor
            made = spec.attack(
                model, inputs[row], labels[row], eps=eps, norm=norm, generator=_generator()
            )
            won = bool(is_adversarial(model(made), labels[row])[0])
            _checked(
                won == wins, f"{'win' if wins else 'not win'} at {factor} of the true distance",
                norm=norm, eps=eps,
            )  # fmt: skip


def check_targets(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """A gradient attack with room enough reaches the class it is asked for, whichever that is."""
    if not spec.needs_gradient:
        return
    model, inputs, labels = linear_problem(seed, classes=3)
    eps = 0.4 if norm == "linf" else 1.5
    for shift in (1, 2):
        targets = (labels + shift) % 3
        made = spec.attack(
            model, inputs, labels, eps=eps, norm=norm, targets=targets, generator=_generator()
        )
        reached = int((model(made).argmax(1) == targets).sum())
        _checked(reached == len(targets), "reach its targets", reached=reached, of=len(targets))


def check_strongest_point(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """An attack that keeps the best returns nothing weaker than any point the model was shown."""
    if spec.keeps != "best":
        return
    for targeted in (False, True):
        p, model = Problem(seed), Wavy(seed)
        targets = p.targets if targeted else None
        made = spec.attack(
            model, p.inputs, p.labels, eps=0.3, norm=norm, targets=targets, generator=_generator()
        )
        shown = list(model.shown)
        best = _rank(model, made, p.labels, targets)
        for point in shown:
            weaker = best < _rank(model, point, p.labels, targets) - 1e-5
            _checked(
                not weaker.any(), "return the strongest point it saw", weaker=int(weaker.sum())
            )


def _rank(model: nn.Module, points: Tensor, labels: Tensor, targets: Tensor | None) -> Tensor:
    """Rank by (won, objective): winning is worth more than any value of the objective."""
    with torch.no_grad():
        logits = model(points)
    goal, sign = (labels, 1) if targets is None else (targets, -1)
    return 1e3 * is_adversarial(logits, labels, targets) + sign * cross_entropy(logits, goal)


def check_sweep(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """Several eps at once give what separate calls give."""
    if spec.sweep is None:
        return
    p, radii = Problem(seed), (0.0, 0.1, 0.4)
    swept = spec.sweep(p.model, p.inputs, p.labels, eps=radii, norm=norm, generator=_generator())
    for eps, made in zip(radii, swept, strict=True):
        alone = spec.attack(p.model, p.inputs, p.labels, eps=eps, norm=norm, generator=_generator())
        _checked(torch.equal(made, alone), "sweep to what separate calls give", eps=eps)


def check_gradient_needed(spec: AttackSpec, norm: Norm, seed: int) -> None:
    """A model without gradient is refused by an attack that needs one, and by no other."""
    p = Problem(seed)

    def blind(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            scores: Tensor = p.model(inputs)
            return scores

    def call() -> object:
        return spec.attack(blind, p.inputs, p.labels, eps=0.1, norm=norm, generator=_generator())

    if spec.needs_gradient:
        _must_raise("refuse a model without gradient", InvalidInput, call)
    else:
        call()


CHECKS: tuple[Callable[[AttackSpec, Norm, int], None], ...] = (
    check_ball_and_box,
    check_pure,
    check_rows_alone,
    check_eps_zero,
    check_bad_input,
    check_linear_oracle,
    check_targets,
    check_strongest_point,
    check_sweep,
    check_gradient_needed,
)


def broken_rules(spec: AttackSpec, *, seed: int = 0) -> Iterator[str]:
    """Yield the message of every check that an attack fails, where `check_attack` stops at one."""
    for norm in spec.norms:
        for check in CHECKS:
            try:
                check(spec, norm, seed)
            except Exception as error:  # an attack under test may fail in any way
                yield f"{check.__name__} ({norm}): {error}"
