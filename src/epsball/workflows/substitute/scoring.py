"""How often an oracle is fooled: through a substitute, or by asking it directly."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from epsball.attacks import ATTACKS, hopskipjump
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import size
from epsball.oracles.protocol import Oracle, OracleClassifier
from epsball.randomness import ImageStreams
from epsball.tensors import Classifier, Images, Labels

_BATCH = 250


@dataclass(frozen=True)
class Fooled:
    """How many images fool an oracle.

    Args:
        attack: how they were made.
        eps: radius, input units.
        norm: of the radius.
        n: all images.
        wrong: images that the oracle gives another label than their own.
        clean_right: images that it gives their own label when they are clean.
        fooled: of those, the ones that it gives another label when attacked.
        queries: images that the oracle was asked about to make them, the learning of a substitute
            not included.
    """

    attack: str
    eps: float
    norm: str
    n: int
    wrong: int
    clean_right: int
    fooled: int
    queries: int = 0

    @property
    def misclassified(self) -> float:
        """Return the share of all images that the oracle gives another label."""
        return self.wrong / self.n

    @property
    def success(self) -> float | None:
        """Return the share of the images right when clean that are fooled; None without any."""
        return self.fooled / self.clean_right if self.clean_right else None


def through_substitute(
    oracle: Oracle,
    substitute: Classifier,
    setting: AttackSetting,
    images: Images,
    labels: Labels,
    *,
    clean: Labels,
    seed: int,
) -> list[Fooled]:
    """Attack the substitute, and show what comes out to the oracle.

    Args:
        oracle: is asked about every attacked image once for each eps.
        substitute: the model that is attacked.
        setting: the attack, its norm and radii.
        images: (n, c, h, w) in [0, 1].
        labels: (n,), true classes.
        clean: (n,), the oracle's labels of the clean images.
        seed: of the attack.

    Returns:
        One an eps. Every image gets the full budget, also where the substitute is fooled early.
    """
    results = []
    for eps in setting.eps:
        parts = []
        for at in range(0, len(images), _BATCH):
            rows = slice(at, at + _BATCH)
            streams = ImageStreams.of(
                torch.arange(len(images))[rows], seed=seed, purpose=setting.variant
            )
            arguments = setting.arguments(eps)
            parts.append(
                setting.spec.attack(
                    substitute, images[rows], labels[rows], generator=streams, **arguments
                )
            )
        attacked = torch.cat(parts)
        results.append(
            _fooled(
                setting.variant,
                eps,
                setting.norm,
                labels=labels,
                clean=clean,
                attacked=oracle(attacked),
            )
        )
    return results


def directly(
    oracle: Oracle,
    images: Images,
    labels: Labels,
    *,
    clean: Labels,
    classes: int,
    attack: str,
    eps: float,
    norm: str,
    queries: int,
    seed: int,
) -> Fooled:
    """Attack the oracle itself, by its labels alone.

    Args:
        oracle: is asked about at most `queries` images in all.
        images: (n, c, h, w) in [0, 1].
        labels: (n,), true classes.
        clean: (n,), the oracle's labels of the clean images.
        classes: k.
        attack: "square" or "hopskipjump".
        eps: radius, input units.
        norm: of the radius.
        queries: in all; every image gets the same share of them.
        seed: of the attack.
    """
    model = OracleClassifier(oracle, classes)
    before, each = oracle.ledger.paid, max(1, queries // len(images))
    streams = ImageStreams.of(torch.arange(len(images)), seed=seed, purpose=attack)
    arguments: dict[str, Any] = {"norm": norm, "queries": each, "generator": streams}
    if attack == "hopskipjump":
        attacked = hopskipjump(model, images, labels, **arguments)
        near = size(attacked - images, norm) <= eps * (1 + 1e-6)  # type: ignore[arg-type]  # the attack has checked it
        attacked = torch.where(near[:, None, None, None], attacked, images)
    else:
        attacked = ATTACKS[attack].attack(model, images, labels, eps=eps, **arguments)
    queries_spent = oracle.ledger.paid - before
    answers = oracle(attacked)
    result = _fooled(attack, eps, norm, labels=labels, clean=clean, attacked=answers)
    return Fooled(**(vars(result) | {"queries": queries_spent}))


def _fooled(
    attack: str, eps: float, norm: str, *, labels: Tensor, clean: Tensor, attacked: Tensor
) -> Fooled:
    right = clean == labels
    wrong = attacked != labels
    return Fooled(
        attack,
        eps,
        norm,
        len(labels),
        int(wrong.sum()),
        int(right.sum()),
        int((right & wrong).sum()),
    )
