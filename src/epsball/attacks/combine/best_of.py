"""Attacks made of attacks."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from epsball.attacks.core.ascent import BestSeen
from epsball.attacks.core.asking import Part, all_rows, read, search_part
from epsball.attacks.core.checks import check_call
from epsball.attacks.gradient.pgd import Mislead
from epsball.errors import InvalidInput
from epsball.geometry import size
from epsball.objectives import margin
from epsball.randomness import Randomness, another_run
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search


def best_of(attack: Callable[..., Images], *, restarts: int) -> Callable[..., Images]:
    """Repeat a random attack and keep, for every image, its best result.

    Args:
        attack: a function with the house signature whose result depends on its generator.
        restarts: how often it runs, at least 1.

    Returns:
        A function with the same signature. Results rank by (fooled, margin); those of an attack
        that takes no eps by (fooled, nearness). Ranking costs one forward pass a restart.

    Raises:
        InvalidInput: restarts is below 1.

    Example:
        >>> import torch
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

    parameters = inspect.signature(attack).parameters
    nearest = "eps" not in parameters and "norm" in parameters
    norm: Norm = parameters["norm"].default if nearest else "linf"

    @functools.wraps(attack)
    def repeated(
        model: Classifier,
        inputs: Images,
        labels: Labels,
        *,
        targets: Labels | None = None,
        generator: Randomness = None,
        search: Search | None = None,
        **settings: Any,  # noqa: ANN401 - the attack's own knobs
    ) -> Images:
        # rows are chosen below, before the attack itself can look at its arguments
        check_call("best_of", inputs, labels, targets, eps=None, norm=None, norms=())
        goal = Mislead(model, margin, labels, targets)
        best, rows = BestSeen(inputs), all_rows(inputs)
        search, given = search or Search(retire=False), search
        exact = search.confirm or model
        for restart in range(restarts):
            points = attack(
                Part(model, rows),
                inputs[rows],
                labels[rows],
                targets=None if targets is None else targets[rows],
                generator=another_run(generator, restart, rows),
                **settings | ({"search": search_part(given, rows)} if given else {}),
            )
            logits = read(exact, points, rows, search.micro_batch)
            aim = goal.rows(rows)
            value, success = aim.value(logits), aim.success(logits)
            if nearest:
                value = -size(points - inputs[rows], settings.get("norm", norm))
            best.update(points, value, success, rows)
            if search.retire and not nearest:
                rows = rows[~success]
                if not len(rows):
                    break
        return best.points

    return repeated
