"""Attacks made of attacks."""

from collections.abc import Callable
from typing import Any

import torch

from epsball.attacks._ascent import BestSeen, scores
from epsball.attacks._pgd import Mislead
from epsball.errors import InvalidInput
from epsball.objectives import margin
from epsball.randomness import ImageStreams
from epsball.tensors import Classifier, Images, Labels


def best_of(attack: Callable[..., Images], *, restarts: int) -> Callable[..., Images]:
    """Repeat a random attack and keep, for every picture, its best result.

    Args:
        attack: a function with the house signature whose result depends on its generator.
        restarts: how often it runs, at least 1.

    Returns:
        A function with the same signature. Results rank by (fooled, margin); ranking costs one
        forward pass a restart.

    Raises:
        InvalidInput: restarts is below 1.

    Example:
        >>> from epsball.attacks import pgd
        >>> thorough = best_of(pgd, restarts=5)
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> thorough(torch.nn.Flatten(), x, y, eps=0.125).flatten()
        tensor([0.3750, 0.6250])
    """
    if restarts < 1:
        raise InvalidInput(f"best_of: restarts must be >= 1, got {restarts}")
    if restarts == 1:
        return attack

    def repeated(
        model: Classifier,
        inputs: Images,
        labels: Labels,
        *,
        targets: Labels | None = None,
        generator: Any = None,  # noqa: ANN401 - whatever the attack itself takes
        **settings: Any,  # noqa: ANN401 - the attack's own knobs
    ) -> Images:
        goal = Mislead(model, margin, labels, targets)
        best = BestSeen(inputs)
        for restart in range(restarts):
            # streams are keyed by restart; a torch generator simply goes on
            fresh = (
                generator.restarted(restart) if isinstance(generator, ImageStreams) else generator
            )
            points = attack(model, inputs, labels, targets=targets, generator=fresh, **settings)
            with torch.no_grad():
                logits = scores(model, points)
                best.update(points, logits, goal.value(logits), goal)
        return best.points

    return repeated
