"""The strongest attack for the least work: cheap ones first, and only what still wins goes on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from epsball.attacks.black_box.spsa import spsa
from epsball.attacks.black_box.square import square
from epsball.attacks.combine.best_of import best_of
from epsball.attacks.combine.over_targets import over_targets
from epsball.attacks.core.ascent import look
from epsball.attacks.core.asking import Part, relaxed_of
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.relay import Relay
from epsball.attacks.gradient.apgd import apgd
from epsball.attacks.gradient.apgd_t import apgd_t
from epsball.attacks.gradient.pgd import Mislead, pgd
from epsball.attacks.gradient.rejection import rejection
from epsball.attacks.nearest.fab import fab
from epsball.errors import InvalidInput
from epsball.objectives import margin
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")
_FLAT = 0.1  # share of the images left whose gradient is zero, from which it is called masked
_PROBED = 64  # images whose gradients are looked at


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


def strongest(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Put every image to one attack after another until it is fooled or nothing wins any more.

    The methods of the table `METHODS` take turns on the images that are left, each with a small
    share of work first. One that fools something is given its next, larger share; one that fools
    nothing is dropped. It ends when no image is left, or no method is. Where gradients look
    masked, because they are zero or because squares win what gradients did not, the methods for
    that case join, and a model that has a differentiable stand-in for itself is attacked through
    it. For a model that rejects, methods join that are made for it.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf", "l2" or "l1".
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: of all that is random; torch's global one when None.
        search: what may be saved; a fooled image is never attacked again.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; a fooled image, or the one nearest to it.
        Which methods go on depends on all images of the batch.

    Raises:
        InvalidInput: an argument breaks its rule.
        UnsupportedNorm: norm is l0.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> flat(strongest(flat, x, y, eps=0.125)).argmax(1)
        tensor([1])

    Source: after Croce and Hein 2020, arXiv:2003.01690, whose attacks and budgets these are. The
    order, the shares and the dropping are ours.
    """
    check_call("strongest", inputs, labels, targets, eps=eps, norm=norm, norms=NORMS)
    relay = Relay(model, inputs, labels, eps, norm, targets, generator, search or Search())
    blind = not _has_gradient(relay)
    rejects = getattr(getattr(model, "info", None), "rejects", False)
    turns = [m for m in METHODS if norm in m.norms and (m.blind or not blind)]
    turns = [m for m in turns if rejects or not m.rejecting]
    masked = blind or _is_flat(relay)
    if masked:
        _through_stand_in(relay)
    for turn in range(max(len(method.shares) for method in METHODS)):
        turns, masked = _take_turns(relay, turns, turn, masked=masked)
        if not len(relay.left) or not any(masked or not method.masked for method in turns):
            break
    return relay.best


def _take_turns(
    relay: Relay, turns: list[Method], turn: int, *, masked: bool
) -> tuple[list[Method], bool]:
    """Let every method have its share, and return those that go on and whether masks were seen."""
    going = []
    for method in turns:
        if method.masked and not masked:
            going.append(method)  # it waits until there is reason
        elif turn < len(method.shares) and relay.run(method.shares[turn]):
            going.append(method)
            if method.blind and not masked:
                # squares won what gradients had left: from now on look behind the mask too
                masked = True
                _through_stand_in(relay)
    return going, masked


def _has_gradient(relay: Relay) -> bool:
    """Say whether any gradient reaches the images."""
    try:
        _slopes(relay)
    except InvalidInput:
        return False
    return True


def _slopes(relay: Relay) -> Tensor:
    rows = relay.left[:_PROBED]
    goal = Mislead(relay.model, margin, relay.labels, relay.targets).rows(rows)
    if not len(rows):
        return relay.inputs[:0]
    size = relay.search.micro_batch
    return look(relay.model, relay.inputs[rows], rows, goal, micro_batch=size)[0].slope


def _is_flat(relay: Relay) -> bool:
    """Say whether the margin's gradient is zero for too many of the images left."""
    slopes = _slopes(relay)
    if not len(slopes):
        return False
    return float((slopes == 0).flatten(1).all(1).float().mean()) >= _FLAT


def _through_stand_in(relay: Relay) -> None:
    """Attack a model's differentiable stand-in, where it has one, and try the results on it."""
    held = relaxed_of(relay.model)
    rows = relay.left
    if held is None or not len(rows):
        return
    plain = replace(relay.search, retire=False, confirm=None)
    targets = None if relay.targets is None else relay.targets[rows]
    for objective in ("cross-entropy", "margin"):
        points = apgd(
            Part(held, rows),
            relay.inputs[rows],
            relay.labels[rows],
            eps=relay.eps,
            norm=relay.norm,
            steps=40,
            objective=objective,
            targets=targets,
            generator=relay.fresh(rows),
            search=plain,
        )
        relay.judge(points, rows)
        rows = relay.left
        targets = None if relay.targets is None else relay.targets[rows]
        if not len(rows):
            return
