"""A substitute is learned from few images and many queries about images that it proposes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from epsball.errors import InvalidInput, unknown_name
from epsball.oracles.protocol import Oracle, check_labels
from epsball.tensors import Images, Labels
from epsball.types import Norm
from epsball.workflows.substitute.questions import attack_questions, jacobian_questions

Questions = Literal["jacobian", "attacks"]
_LEAST_SHARE = 0.2  # of the epochs, in a round that adds few images to many


@dataclass(frozen=True)
class SubstituteSettings:
    """How a substitute is learned.

    Args:
        queries: images that the oracle is asked about in all, the first ones included.
        questions: "jacobian": known images, moved along the substitute's gradient, as in the
            source; "attacks": attacks on the substitute, so that it learns which fool the oracle.
        epochs: over all known images after the first and the last round of questions; in between
            the share of them that is new, a fifth at least.
        step: of "jacobian": length of an augmentation step, input units.
        period: of "jacobian": rounds after which the step changes its sign.
        doublings: of "jacobian": rounds in which every known image is augmented.
        reservoir: images that are drawn for questions in each later round.
        eps: of "attacks": largest radius, input units.
        norm: of "attacks": "linf" or "l2".
        batch_size: of training.
        lr: learning rate of Adam.
        seed: of the draws, the order of images and dropout.

    Raises:
        InvalidInput: a value breaks its rule.

    Source of the defaults of step, period, doublings and reservoir: Papernot et al. 2016,
    arXiv:1605.07277, section 4 (lambda = 0.1, tau = 3, sigma = 3, kappa = 400).
    """

    queries: int
    questions: Questions = "jacobian"
    epochs: int = 10
    step: float = 0.1
    period: int = 3
    doublings: int = 3
    reservoir: int = 400
    eps: float = 0.3
    norm: Norm = "linf"
    batch_size: int = 128
    lr: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that break their rules."""
        least = {"queries": 1, "epochs": 1, "period": 1, "doublings": 0, "reservoir": 1}
        for name, low in (least | {"batch_size": 1}).items():
            if getattr(self, name) < low:
                raise InvalidInput(
                    f"substitute: {name} must be >= {low}, got {getattr(self, name)}"
                )
        if self.questions not in get_args(Questions):
            raise unknown_name("questions", self.questions, get_args(Questions))
        if self.questions == "attacks" and self.norm not in ("linf", "l2"):
            raise InvalidInput(
                f"substitute: questions 'attacks' have norm linf or l2, got {self.norm!r}: choose "
                "--questions jacobian"
            )
        for name in ("step", "lr", "eps"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"substitute: {name} must be > 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class Round:
    """What one round of questions came to.

    Args:
        queries: images that the oracle has been asked about so far.
        agreement: share of all known images on which substitute and oracle agree after training.
    """

    queries: int
    agreement: float


@dataclass(frozen=True)
class Learned:
    """A substitute and what it was learned from.

    Args:
        model: the substitute, in eval mode.
        images: (m, c, h, w), all that the oracle was asked about; values are multiples of 1/255
            where those of the first images are.
        labels: (m,), its answers.
        rounds: one a round.
    """

    model: nn.Module
    images: Images
    labels: Labels
    rounds: tuple[Round, ...]


def learn_substitute(
    oracle: Oracle,
    images: Images,
    build: Callable[[], nn.Module],
    settings: SubstituteSettings,
    *,
    classes: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Learned:
    """Train a network on an oracle's answers to images that the network itself proposes.

    Args:
        oracle: is asked about exactly `settings.queries` images.
        images: (n, c, h, w) in [0, 1], the first questions; their own labels are not used.
        build: makes the network, with fresh weights, for `classes` classes.
        settings: how.
        classes: k, the number of labels of the oracle.
        advance: hears how many images were asked about.

    Returns:
        The substitute.

    Raises:
        InvalidInput: the budget is smaller than the number of first images.
        BrokenContract: the oracle answers with other labels than 0 to classes - 1.

    Source: Papernot et al. 2017, arXiv:1602.02697, algorithm 1; periodical step and reservoir
    sampling: Papernot et al. 2016, arXiv:1605.07277, section 4. Departures: a new image is rounded
    to 8 bits, as an image that can be sent; training goes on from the last round's weights, so
    that rounds in between take fewer epochs; the last round is cut so that the budget is met
    exactly.
    """
    if settings.queries < len(images):
        raise InvalidInput(
            f"substitute: the budget of {settings.queries} queries is smaller than the "
            f"{len(images)} seed images: raise --queries or lower --seed-images"
        )
    generator = torch.Generator().manual_seed(settings.seed)

    def ask(new: Images) -> Labels:
        labels = check_labels(oracle(new), len(new), classes)
        advance(len(new))
        return labels

    with torch.random.fork_rng([]):
        torch.manual_seed(settings.seed)
        model = build()
        queried, labels, new = images, ask(images), images
        rounds: list[Round] = []
        while True:
            left = settings.queries - len(queried)
            whole = not rounds or not left
            share = 1.0 if whole else max(len(new) / len(queried), _LEAST_SHARE)
            epochs = math.ceil(share * settings.epochs)
            _fit(model, queried, labels, settings, epochs=epochs, generator=generator)
            agreement = float((_predicted(model, queried) == labels).float().mean())
            rounds.append(Round(len(queried), agreement))
            if not left:
                return Learned(model, queried, labels, tuple(rounds))
            new = _next(model, queried, labels, settings, rounds=rounds, generator=generator)
            queried, labels = torch.cat((queried, new)), torch.cat((labels, ask(new)))


def _next(
    model: nn.Module,
    queried: Images,
    labels: Labels,
    settings: SubstituteSettings,
    *,
    rounds: Sequence[Round],
    generator: torch.Generator,
) -> Images:
    """Return the next questions, as many as the budget has left at most."""
    first, number = rounds[0].queries, len(rounds) - 1
    left = settings.queries - len(queried)
    if settings.questions == "attacks":
        count = min(left, max(first, min(settings.reservoir, len(queried) // 2)))
        chosen = torch.randint(first, (count,), generator=generator)
        return attack_questions(
            model,
            queried[chosen],
            norm=settings.norm,
            eps=settings.eps,
            generator=generator,
        )
    count = len(queried) if number < settings.doublings else settings.reservoir
    chosen = _reservoir(len(queried), min(count, left), generator)
    sign = -1 if number // settings.period % 2 else 1
    return jacobian_questions(model, queried[chosen], labels[chosen], step=sign * settings.step)


def _reservoir(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw positions without repetition, every set of them equally likely."""
    return torch.randperm(count, generator=generator)[:size].sort().values


def _fit(
    model: nn.Module,
    images: Images,
    labels: Labels,
    settings: SubstituteSettings,
    *,
    epochs: int,
    generator: torch.Generator,
) -> None:
    """Train on all known images; leave the model in eval mode."""
    optimizer = torch.optim.Adam(model.parameters(), settings.lr)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for rows in torch.split(order, settings.batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss = cross_entropy(model(images[rows]), labels[rows])
            torch.autograd.backward(loss)
            optimizer.step()
    model.eval()


def _predicted(model: nn.Module, images: Images) -> Labels:
    with torch.no_grad():
        return torch.cat([model(some).argmax(1) for some in torch.split(images, 512)])
